import assert from "node:assert/strict";
import fc from "fast-check";
import { printable } from "../../../lib/base/text.ts";

Deno.test("printable replaces what is no mark on the screen, and leaves everything else", () => {
  assert.equal(printable("Büro 東京 🙂 a\"'\\"), "Büro 東京 🙂 a\"'\\");
  assert.equal(printable("\x1b[2Ja\nb\tc\x7f\x9b1m"), "?[2Ja?b?c??1m");
  assert.equal(printable("a\u202eb\u2028c\u200bd"), "a?b?c?d");
});

Deno.test("printable keeps to its limit", () => {
  assert.equal(printable("abcdef", 6), "abcdef");
  assert.equal(printable("abcdefg", 6), "abcde…");
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.nat(20), (text, limit) => {
    const shown = printable(text, limit);
    assert.ok(shown.length <= Math.max(limit, 1));
    assert.doesNotMatch(shown, /\p{Cc}/u);
  }));
});
