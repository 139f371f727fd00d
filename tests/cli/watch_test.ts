import assert from "node:assert/strict";
import { clockText, eventText } from "../../cli/event_text.ts";
import { run } from "../../cli/mod.ts";
import type { SessionEvent } from "../../lib/control/api.ts";
import { fakeContext } from "./fake_context.ts";
import { fakeControl, STATUS } from "./status_fixture.ts";

const TIME = "2026-01-01T00:00:00.000Z";

Deno.test("eventText: has a sentence for what is known, and all fields of what is not", () => {
  const path = { kind: "relayed", rttMs: 31 };
  const table: [event: Record<string, unknown>, text: string][] = [
    [{ event: "status", state: "connected" }, "The session is connected"],
    [
      { event: "state-changed", state: "connecting", problem: { message: "no route" } },
      "The session is connecting: no route",
    ],
    [{ event: "portal-connected" }, "The portal is connected"],
    [{ event: "portal-lost", reason: "reset" }, "The portal is away: reset"],
    [{ event: "signed-in", resources: [1, 2] }, "Signed in, 2 resources"],
    [{ event: "interface", name: "t", ipv4: "1", ipv6: "2" }, "The tunnel device is t, 1, 2"],
    [{ event: "ready" }, "The tunnel is configured"],
    [
      { event: "dns-repaired", repairs: 2 },
      "This machine's DNS settings were overwritten, and set again (2 so far)",
    ],
    [{ event: "dns-problem", reason: "x" }, "Names do not reach the session: x"],
    [{ event: "network-changed", reason: "moved" }, "The network changed: finding new paths"],
    [{ event: "resources-changed" }, "Resources changed"],
    [{ event: "access-requested", resourceId: "r" }, "Asked for access to r"],
    [{ event: "access-granted", resourceId: "r", gatewayId: "g" }, "May use r by gateway g"],
    [{ event: "access-denied", resourceId: "r", reason: "offline" }, "May not use r: offline"],
    [{ event: "connected", gatewayId: "g", path }, "Gateway g is connected, relayed, 31 ms"],
    [{ event: "path-changed", gatewayId: "g", path }, "Gateway g is reached another way, relayed, 31 ms"],
    [{ event: "disconnected", gatewayId: "g", reason: "goodbye" }, "Gateway g is gone: goodbye"],
    [{ event: "dropped", reason: "slow" }, "Some events are missing: slow"],
    [{ event: "stopping" }, "The session is stopping"],
    [{ event: "stopped" }, "The session has stopped"],
    [{ event: "new-thing", a: 1, b: "\x1b[2J" }, "new-thing a=1 b=?[2J"],
    [{ event: "connected", gatewayId: "g", path: "odd" }, "Gateway g is connected"],
    [{ event: "portal-lost" }, "The portal is away: ?"],
  ];
  for (const [event, text] of table) assert.equal(eventText({ time: TIME, ...event } as SessionEvent), text);
});

Deno.test("clockText: shows a time of day, or what stands there", () => {
  assert.match(clockText(TIME), /^\d\d:\d\d:\d\d$/);
  assert.equal(clockText("\x1bnever"), "?never");
});

Deno.test("watch: prints events as they are in a pipe, in words on a terminal", async () => {
  async function* events(): AsyncGenerator<SessionEvent> {
    await Promise.resolve();
    yield { time: TIME, event: "ready" };
    yield { time: TIME, event: "later-thing", x: 1 };
  }
  const host = { control: () => Promise.resolve(fakeControl(() => STATUS, events)) };
  const pipe = fakeContext({ host });
  assert.equal(await run(["watch"], pipe), 0);
  assert.equal(
    pipe.written.stdout,
    `{"schema":1,"time":"${TIME}","event":"ready"}\n{"schema":1,"time":"${TIME}","event":"later-thing","x":1}\n`,
  );
  const terminal = fakeContext({ host, isTerminal: true, env: { NO_COLOR: "1" } });
  assert.equal(await run(["watch"], terminal), 0);
  assert.match(
    terminal.written.stdout,
    /^\d\d:\d\d:\d\d {2}The tunnel is configured\n\d\d:\d\d:\d\d {2}later-thing x=1\n$/,
  );
  const json = fakeContext({ host, isTerminal: true });
  assert.equal(await run(["watch", "--json"], json), 0);
  assert.equal(json.written.stdout, pipe.written.stdout);
});

Deno.test("watch: ends with 0 at a signal", async () => {
  const control = fakeControl(() => STATUS);
  const started = Promise.withResolvers<void>();
  const lines = ((route: "events", request: Record<string, never>, signal?: AbortSignal) => {
    started.resolve();
    return control.lines(route, request, signal);
  }) as typeof control.lines;
  const context = fakeContext({ host: { control: () => Promise.resolve({ ...control, lines }) } });
  const code = run(["watch"], context);
  await started.promise;
  context.signal("SIGINT");
  assert.equal(await code, 0);
});

Deno.test("metrics: prints the text, or puts it into a file in one step", async () => {
  const host = { control: () => Promise.resolve(fakeControl(() => STATUS)) };
  const context = fakeContext({ host });
  assert.equal(await run(["metrics"], context), 0);
  assert.equal(context.written.stdout, "# TYPE fz_up gauge\nfz_up 1\n");
  const file = fakeContext({ host });
  assert.equal(await run(["metrics", "--output", "/x/fz.prom"], file), 0);
  assert.equal(file.written.stdout, "");
  assert.deepEqual(file.calls, [["replaceFile", ["/x/fz.prom", "# TYPE fz_up gauge\nfz_up 1\n"]]]);
});
