import assert from "node:assert/strict";
import fc from "fast-check";
import { parseJson } from "../../../lib/base/json.ts";

Deno.test("parseJson: says where text stops being JSON, and what was expected", () => {
  const table: [text: string, reason: string][] = [
    ["", "line 1, column 1: expected a value"],
    ["{", 'line 1, column 2: expected "}" or a name'],
    ["[", 'line 1, column 2: expected "]" or a value'],
    ['{"a" 1}', 'line 1, column 6: expected ":"'],
    ['{"a":1,\n "b":}', "line 2, column 6: expected a value"],
    ['{"a":1,}', "line 1, column 8: expected a name"],
    ["[1,]", "line 1, column 4: expected a value"],
    ["[1 2]", 'line 1, column 4: expected "," or the end'],
    ["[1}", 'line 1, column 3: expected "," or the end'],
    ["1 1", "line 1, column 3: expected nothing more"],
    ["01", "line 1, column 2: expected nothing more"],
    ['"a', "line 1, column 3: expected the rest of a text"],
    ['"\\x"', "line 1, column 2: expected the rest of a text"],
    ["nul", "line 1, column 1: expected a value"],
    ["'a'", "line 1, column 1: expected a value"],
  ];
  for (const [text, reason] of table) assert.deepEqual(parseJson(text), { ok: false, reason }, text);
});

Deno.test("parseJson: takes what JSON.parse takes, and nothing else", () => {
  assert.deepEqual(parseJson(' {"a":[1,-2.5e3,"\\u00e9",null,true,{}]}\n'), {
    ok: true,
    value: { a: [1, -2500, "é", null, true, {}] },
  });
  fc.assert(fc.property(fc.json(), (text) => {
    assert.deepEqual(parseJson(text), { ok: true, value: JSON.parse(text) });
  }));
});

Deno.test("parseJson: points into the text wherever it is damaged, and repeats nothing of it", () => {
  const damaged = fc.tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom("", "}", "]", ",", ":", '"', "\\", "x", "\u0001"),
  ).map(
    ([text, at, piece]) =>
      text.slice(0, at % (text.length + 1)) + piece + text.slice(at % (text.length + 1) + 1),
  );
  fc.assert(
    fc.property(damaged, (text) => {
      const parsed = parseJson(text);
      if (parsed.ok) return;
      const match = /^line (\d+), column (\d+): expected [a-z":,}\] ]+$/.exec(parsed.reason);
      assert.ok(match !== null, parsed.reason);
      const line = text.split("\n")[Number(match[1]) - 1];
      assert.ok(line !== undefined && Number(match[2]) <= line.length + 1, `${parsed.reason} in ${text}`);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseJson: is not stopped by depth or length", () => {
  const deep = parseJson("[".repeat(30_000));
  assert.ok(!deep.ok && deep.reason.startsWith("line 1, column 30001"));
  const long = parseJson(`"${"a".repeat(60_000)}`);
  assert.ok(!long.ok && long.reason.startsWith("line 1, column 60002"));
});
