import assert from "node:assert/strict";
import fc from "fast-check";
import { type TypedLine, TypedLineReader } from "../../../lib/control/typed_line.ts";

function type(text: string): TypedLine | undefined {
  return new TypedLineReader().handleBytes(new TextEncoder().encode(text));
}

const text = (text: string) => ({ type: "text", text });

Deno.test("TypedLineReader: ends at Enter, whatever Enter sends", () => {
  assert.deepEqual(type("token\r"), text("token"));
  assert.deepEqual(type("token\n"), text("token"));
  assert.deepEqual(type("token\r\nls\r\n"), text("token"));
  assert.equal(type("token"), undefined);
});

Deno.test("TypedLineReader: Ctrl+C interrupts, Ctrl+D cancels an empty line only", () => {
  assert.deepEqual(type("tok\x03"), { type: "interrupted" });
  assert.deepEqual(type("\x1b[20\x03"), { type: "interrupted" });
  assert.deepEqual(type("\x04"), { type: "cancelled" });
  assert.deepEqual(type("to\x04ken\r"), text("token"));
});

Deno.test("TypedLineReader: Backspace takes a character back, Ctrl+U all", () => {
  assert.deepEqual(type("toö\x7fkem\x08n\r"), text("token"));
  assert.deepEqual(type("wrong\x15token\r"), text("token"));
  assert.deepEqual(type("\x7f\x7ftoken\r"), text("token"));
});

Deno.test("TypedLineReader: skips keys that are no text", () => {
  assert.deepEqual(type("to\x1b[Ak\x1bOPe\x1b[1;5Cn\x1b\x1b[3~\r"), text("token"));
});

Deno.test("TypedLineReader: takes a paste as it is, with or without marks", () => {
  assert.deepEqual(type("\x1b[200~token\x1b[201~\r"), text("token"));
  assert.deepEqual(type("\x1b[200~tok\nen\x1b[201~\r"), text("tok\nen"));
  assert.deepEqual(type("\x1b[200~token\n\x1b[201~"), text("token\n"));
  assert.equal(type("\x1b[200~token\n"), undefined);
});

Deno.test("TypedLineReader: ends alike however the bytes are cut, and keeps no more than its bound", () => {
  const keys = fc.array(fc.constantFrom(..."abö\x7f\x15\x1b[200~\x1b[201~\x04\x1bO;".split("")), {
    maxLength: 60,
  });
  fc.assert(fc.property(keys, fc.integer({ min: 1, max: 7 }), (keys, size) => {
    const whole = `${keys.join("")}\x1b[201~!\r`;
    const bytes = new TextEncoder().encode(whole);
    const reader = new TypedLineReader();
    let end: TypedLine | undefined;
    for (let at = 0; at < bytes.length && end === undefined; at += size) {
      end = reader.handleBytes(bytes.subarray(at, at + size));
    }
    assert.deepEqual(end, type(whole));
    assert.notEqual(end, undefined);
  }));
  const long = type(`${"a".repeat(1_000_000)}\r`);
  assert.equal(long?.type === "text" && long.text.length, 64 * 1024);
});
