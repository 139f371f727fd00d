import assert from "node:assert/strict";
import type { Control } from "../../lib/control/control.ts";
import { run } from "../../cli/mod.ts";
import type { LogDocument } from "../../lib/control/api.ts";
import { Fault } from "../../lib/base/fault.ts";
import { fakeContext } from "./fake_context.ts";

const RECORD: LogDocument = {
  time: "2026-11-22T15:10:00.000Z",
  level: "warn",
  category: "client",
  message: "portal cannot be reached",
  fields: { reason: "\x1b[2J" },
};

function session(asked: unknown[]): { control: (authority: "read" | "change") => Promise<Control> } {
  return {
    control: (authority) =>
      Promise.resolve({
        ask: (route: string, request: unknown) => {
          asked.push([authority, route, request]);
          return Promise.resolve({ schema: 1, filter: "info,dns=debug" });
        },
        async *lines(route: string, request: unknown) {
          asked.push([authority, route, request]);
          yield RECORD;
        },
      } as unknown as Control),
  };
}

Deno.test("fz log: prints the session's last records, harmless for a terminal", async () => {
  const asked: unknown[] = [];
  const context = fakeContext({ host: session(asked) });
  assert.equal(await run(["log", "-n", "5", "--level", "warn"], context), 0);
  assert.deepEqual(asked, [["read", "log", { follow: false, last: 5, level: "warn" }]]);
  assert.equal(
    context.written.stdout,
    '2026-11-22T15:10:00.000Z WARN  client: portal cannot be reached reason="\\u001b[2J"\n',
  );
  assert.equal(context.written.stderr, "");
});

Deno.test("fz log --json: prints one document a line", async () => {
  const context = fakeContext({ host: session([]) });
  assert.equal(await run(["log", "-f", "--json"], context), 0);
  assert.deepEqual(JSON.parse(context.written.stdout), { schema: 1, ...RECORD });
});

Deno.test("fz log: shows what the last session left where none runs, and says so", async () => {
  const kept = { path: "/state/log/fz.log", records: [RECORD] };
  const context = fakeContext({ host: { keptLog: () => Promise.resolve(kept) } });
  assert.equal(await run(["log"], context), 0);
  assert.match(context.written.stdout, /^2026-.*portal cannot be reached/);
  assert.match(context.written.stderr, /No session runs: .*"\/state\/log\/fz\.log"/);
});

Deno.test("fz log: exits 12 where no session runs and none left a log, or when it shall follow", async () => {
  assert.equal(await run(["log"], fakeContext()), 12);
  const kept = { path: "/state/log/fz.log", records: [RECORD] };
  const host = { keptLog: () => Promise.resolve(kept) };
  assert.equal(await run(["log", "--follow"], fakeContext({ host })), 12);
  const refused = { control: () => Promise.reject(new Fault("privilege", "Cannot ask")) };
  assert.equal(await run(["log"], fakeContext({ host: { ...host, ...refused } })), 6);
});

Deno.test("fz log level: asks for the filter, changes it, and goes back to the start's", async () => {
  const asked: unknown[] = [];
  const host = session(asked);
  for (const args of [[], ["debug"], ["reset"]]) {
    const context = fakeContext({ host });
    assert.equal(await run(["log", "level", ...args], context), 0);
    assert.equal(context.written.stdout, "info,dns=debug\n");
  }
  assert.deepEqual(asked, [
    ["read", "logFilter", {}],
    ["change", "setLogFilter", { filter: "debug" }],
    ["change", "setLogFilter", {}],
  ]);
  const context = fakeContext({ host });
  assert.equal(await run(["log", "level", "--json"], context), 0);
  assert.deepEqual(JSON.parse(context.written.stdout), { schema: 1, filter: "info,dns=debug" });
});
