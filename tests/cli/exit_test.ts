import assert from "node:assert/strict";
import { EXIT_CODES, exitCodeOf, exitCodeOfSignal } from "../../cli/exit.ts";
import { Fault } from "../../lib/base/fault.ts";

Deno.test("exitCodeOf: gives every thrown thing a code that the manual explains", () => {
  const documented = new Set(EXIT_CODES.map(([code]) => code));
  for (const error of [new Fault("tun", "x"), new Fault("offline", "x"), new Error("x"), "text", undefined]) {
    assert.ok(documented.has(exitCodeOf(error)));
  }
  assert.equal(exitCodeOf(new RangeError("x")), 1);
});

Deno.test("EXIT_CODES: are the numbers 0 to 12, each once", () => {
  assert.deepEqual(EXIT_CODES.map(([code]) => code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});

Deno.test("exitCodeOfSignal: counts as shells do", () => {
  assert.equal(exitCodeOfSignal("SIGHUP"), 129);
  assert.equal(exitCodeOfSignal("SIGINT"), 130);
  assert.equal(exitCodeOfSignal("SIGTERM"), 143);
});
