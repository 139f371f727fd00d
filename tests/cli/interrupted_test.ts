/** Commands that wait for a session, and a signal that ends them before there is anything to tell. */

import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import type { Control } from "../../lib/control/control.ts";
import { fakeContext } from "./fake_context.ts";
import { fakeControl, STATUS } from "./status_fixture.ts";

const CASES = [
  [["ping", "gitlab"], "SIGINT", 130],
  [["ping", "gitlab"], "SIGTERM", 143],
  [["ping", "gitlab"], "SIGHUP", 129],
  [["wait", "gitlab"], "SIGINT", 130],
  [["wait", "gitlab"], "SIGTERM", 143],
] as const;

for (const [words, signal, code] of CASES) {
  Deno.test(`fz ${words.join(" ")}: exits with ${code} after ${signal}, whatever comes after that`, async () => {
    const asked = Promise.withResolvers<void>();
    const context = fakeContext({ host: { control: () => Promise.resolve(silent(asked.resolve)) } });
    const done = run(words, context);
    await asked.promise;
    context.signal(signal);
    context.signal(signal === "SIGINT" ? "SIGTERM" : "SIGINT");
    assert.equal(await done, code);
  });
}

/** A session that answers nothing; `onAsked` is called when it was asked. */
function silent(onAsked: () => void): Control {
  const control = fakeControl(() => STATUS);
  const lines: Control["lines"] = (route, request, signal) => {
    onAsked();
    return control.lines(route, request, signal);
  };
  return { ...control, lines };
}
