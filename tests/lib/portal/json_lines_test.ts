import assert from "node:assert/strict";
import fc from "fast-check";
import { lineAt, linesOf } from "../../../lib/portal/json_lines.ts";
import { withLine } from "../../../lib/portal/seed.ts";

Deno.test("linesOf: knows the line of every value", () => {
  const lines = linesOf('{\n  "a": [\n    1,\n    { "b": "x" }\n  ]\n}');
  assert(lines.ok);
  assert.deepEqual([...lines.value], [["", 1], ["a", 2], ["a.0", 3], ["a.1", 4], ["a.1.b", 4]]);
});

Deno.test("linesOf: says where a text stops being JSON", () => {
  const table: [text: string, line: number, column: number, message: RegExp][] = [
    ["", 1, 1, /ends too early/],
    ["{\n  oops\n}", 2, 3, /name in double quotes/],
    ['{\n  "a" 1\n}', 2, 7, /expected ":"/],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3, /expected "," or "}"/],
    ['{ "a": [1 2] }', 1, 11, /expected "," or "\]"/],
    ['{ "a": "x\n" }', 1, 8, /end of the string/],
    ['{ "a": nope }', 1, 8, /expected a value/],
    ["{} {}", 1, 4, /nothing more/],
    ["[".repeat(100), 1, 66, /too deeply/],
  ];
  for (const [text, line, column, message] of table) {
    const outcome = linesOf(text);
    assert(!outcome.ok, text);
    assert.deepEqual([outcome.reason.line, outcome.reason.column], [line, column], text);
    assert.match(outcome.reason.message, message);
  }
});

Deno.test("linesOf: takes what JSON.parse takes, and nothing else", () => {
  const accepts = (text: string) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), fc.nat(), fc.string({ maxLength: 2 }), (text, at, insert) => {
      assert(linesOf(text).ok);
      const broken = text.slice(0, at % (text.length + 1)) + insert + text.slice(at % (text.length + 1));
      assert.equal(linesOf(broken).ok, accepts(broken), broken);
    }),
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'[]{},:"\\ \n\u00a0\ufeff\t1-.eE+0', "true", "null") }),
      (text) => {
        assert.equal(linesOf(text).ok, accepts(text), text);
      },
    ),
  );
});

Deno.test("lineAt: falls back to what is around a value that is missing", () => {
  const lines = linesOf('{\n "a": {\n  "b": 1 } }');
  assert(lines.ok);
  assert.equal(lineAt(lines.value, "a.b"), 3);
  assert.equal(lineAt(lines.value, "a.c.d"), 2);
  assert.equal(lineAt(lines.value, "z"), 1);
});

Deno.test("withLine: puts the line in front of a complaint about a field", () => {
  const text = '{\n  // why\n  "account": { "slug": "A" }\n}';
  assert.equal(
    withLine(text, "account.slug: must be lower-case"),
    "line 3: account.slug: must be lower-case",
  );
  assert.equal(withLine(text, "cannot read it"), "cannot read it");
});
