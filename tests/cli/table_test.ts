import assert from "node:assert/strict";
import fc from "fast-check";
import { cut, factLines, pad, renderTable, textWidth, wrap } from "../../cli/table.ts";

const COLUMNS = [
  { title: "NAME", isFlexible: true },
  { title: "STATE" },
  { title: "RTT", align: "right" },
] as const;
const ROWS = [["git.example.com", "online", "12 ms"], ["db", "offline", ""]];

Deno.test("renderTable: aligns columns under their titles", () => {
  assert.deepEqual(renderTable(COLUMNS, ROWS), [
    "NAME             STATE      RTT",
    "git.example.com  online   12 ms",
    "db               offline",
  ]);
});

Deno.test("renderTable: cuts flexible columns to the width of the terminal", () => {
  assert.deepEqual(renderTable(COLUMNS, ROWS, { width: 28, indent: " ", isBare: true }), [
    " git.exampl…  online   12 ms",
    " db           offline",
  ]);
});

Deno.test("renderTable: sets one block a row where no table fits", () => {
  assert.deepEqual(renderTable(COLUMNS, ROWS, { width: 20 }), [
    "git.example.com",
    "  state online",
    "  rtt 12 ms",
    "db",
    "  state offline",
  ]);
});

Deno.test("renderTable: paints cells without counting the paint", () => {
  const columns = [{ title: "A", paint: (text: string) => `<${text}>` }, { title: "B" }];
  assert.deepEqual(renderTable(columns, [["x", "1"], ["long", "2"]]), ["A     B", "<x   >  1", "<long>  2"]);
});

Deno.test("renderTable: lets nobody write to the terminal by a text of his", () => {
  assert.deepEqual(renderTable([{ title: "N" }], [["\x1b[2J"]], { isBare: true }), ["?[2J"]);
});

Deno.test("renderTable: never writes a line longer than the terminal", () => {
  const text = fc.string({ maxLength: 30, unit: "grapheme" });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, text, text), { maxLength: 5 }),
      fc.integer({ min: 10, max: 80 }),
      (rows, width) => {
        for (const line of renderTable(COLUMNS, rows, { width })) {
          assert.ok(
            textWidth(line) <= width,
            JSON.stringify(line),
          );
        }
      },
    ),
  );
});

Deno.test("textWidth: counts columns, not characters", () => {
  const table: [text: string, width: number][] = [
    ["abc", 3],
    ["é", 1],
    ["e\u0301", 1],
    ["資源", 4],
    ["…", 1],
    ["🙂", 2],
  ];
  for (const [text, width] of table) assert.equal(textWidth(text), width, text);
});

Deno.test("cut, pad: keep to the width", () => {
  assert.equal(cut("abcdef", 4), "abc…");
  assert.equal(cut("資源資源", 4), "資…");
  assert.equal(cut("abc", 3), "abc");
  assert.equal(cut("abc", 0), "");
  assert.equal(pad("a", 3), "a  ");
  assert.equal(pad("a", 3, "right"), "  a");
});

Deno.test("wrap: breaks at spaces and keeps words whole", () => {
  assert.deepEqual(wrap("one two three", 8), ["one two", "three"]);
  assert.deepEqual(wrap("one two three", 8, "  "), ["one two", "  three"]);
  assert.deepEqual(wrap("    one two three", 11, "    "), ["    one two", "    three"]);
  assert.deepEqual(wrap("one `two three` four", 8), ["one", "`two three`", "four"]);
  assert.deepEqual(wrap("incomprehensible", 5), ["incomprehensible"]);
  assert.deepEqual(wrap("one two", undefined), ["one two"]);
});

Deno.test("factLines: align values, break them below themselves, and put long words below their labels", () => {
  const facts = [["A", "one two three"], ["Long", "x"]] as const;
  assert.deepEqual(factLines(facts, undefined), ["A     one two three", "Long  x"]);
  assert.deepEqual(factLines(facts, 14), ["A     one two", "      three", "Long  x"]);
  assert.deepEqual(factLines([["Id", "0123456789"]], 12), ["Id", "  0123456789"]);
});
