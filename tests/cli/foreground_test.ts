import assert from "node:assert/strict";
import { runForeground } from "../../cli/foreground.ts";
import type { Running } from "../../cli/context.ts";
import { Fault } from "../../lib/base/fault.ts";
import { endless, Exited, fakeContext } from "./fake_context.ts";

Deno.test("runForeground: stops gracefully at the first signal and exits 0", async () => {
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    const context = fakeContext();
    const role = endless();
    const result = runForeground(context, () => Promise.resolve(role));
    await Promise.resolve();
    context.signal(name);
    assert.equal(await result, 0);
    assert.equal(role.stops, 1);
  }
});

Deno.test("runForeground: ends at once at the second signal, with the code of that one", async () => {
  for (
    const [first, second, code] of [
      ["SIGINT", "SIGINT", 130],
      ["SIGTERM", "SIGTERM", 143],
      ["SIGINT", "SIGTERM", 143],
      ["SIGTERM", "SIGINT", 130],
    ] as const
  ) {
    const context = fakeContext();
    const role = { ...endless(), stop: () => new Promise<void>(() => {}) };
    runForeground(context, () => Promise.resolve(role)).catch(() => {});
    await Promise.resolve();
    context.signal(first);
    assert.throws(() => context.signal(second), (error) => error instanceof Exited && error.code === code);
  }
});

Deno.test("runForeground: says at the second signal what is left, where something can be", async () => {
  const context = fakeContext();
  const role = { ...endless(), stop: () => new Promise<void>(() => {}) };
  runForeground(context, () => Promise.resolve(role), { leftBehind: "Run `fz cleanup`" }).catch(() => {});
  await Promise.resolve();
  context.signal("SIGTERM");
  assert.equal(context.written.stderr, "");
  assert.throws(() => context.signal("SIGTERM"), Exited);
  assert.match(context.written.stderr, /Run `fz cleanup`/);
});

Deno.test("runForeground: resets at SIGHUP and goes on", async () => {
  const context = fakeContext();
  const role = endless();
  const result = runForeground(context, () => Promise.resolve(role));
  await Promise.resolve();
  context.signal("SIGHUP");
  context.signal("SIGHUP");
  assert.equal(role.resets, 2);
  context.signal("SIGTERM");
  assert.equal(await result, 0);
});

Deno.test("runForeground: a signal before the role is there stops it as soon as it is", async () => {
  const context = fakeContext();
  const role = endless();
  const { promise, resolve } = Promise.withResolvers<Running>();
  const result = runForeground(context, () => promise);
  context.signal("SIGTERM");
  resolve(role);
  assert.equal(await result, 0);
  assert.equal(role.stops, 1);
});

Deno.test("runForeground: throws what ended the role, and listens to no signal afterwards", async () => {
  const context = fakeContext();
  const fault = new Fault("expired", "Cannot go on: the token has expired");
  const role = { ...endless(), done: Promise.reject(fault) };
  await assert.rejects(runForeground(context, () => Promise.resolve(role)), fault);
  context.signal("SIGINT");
  context.signal("SIGINT");
  assert.equal(role.stops, 0);
});
