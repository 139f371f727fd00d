import assert from "node:assert/strict";
import fc from "fast-check";
import { describeTokenFlaw, readTokenText } from "../../../lib/control/token.ts";

Deno.test("readTokenText: takes a token, and the white space around it off", () => {
  const token = "n.SFMyNTY.g2gDbQ-_=+/~!";
  for (const text of [token, `${token}\n`, `${token}\r\n`, `\ufeff ${token}\t\n\n`, `\u00a0${token}`]) {
    assert.deepEqual(readTokenText(text), { ok: true, value: token });
  }
});

Deno.test("readTokenText: says what is wrong with anything else", () => {
  const table = [
    ["", "empty"],
    [" \r\n\t", "empty"],
    ["two words", "spaced"],
    ["first\nsecond", "spaced"],
    ["a\0b", "binary"],
    ["\x7fELF", "binary"],
    ["tökén", "binary"],
    ["a\u200bb", "binary"],
    ["a".repeat(8193), "too-long"],
    ["\0".repeat(1_000_000), "too-long"],
  ] as const;
  for (const [text, reason] of table) assert.deepEqual(readTokenText(text), { ok: false, reason });
  assert.equal(readTokenText("a".repeat(8192)).ok, true);
});

Deno.test("readTokenText: what it returns fits a header, and what it says repeats nothing", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
    const read = readTokenText(text);
    if (read.ok) assert.match(read.value, /^[\x21-\x7e]{1,8192}$/);
    else assert.match(describeTokenFlaw(read.reason), /^it (is|has) [a-z0-9 ]+$/);
  }));
});
