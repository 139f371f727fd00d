import assert from "node:assert/strict";
import * as v from "valibot";
import type { Style } from "../../cli/output.ts";
import { run } from "../../cli/mod.ts";
import { headline, stableText, statusLines } from "../../cli/status_text.ts";
import { textWidth } from "../../cli/table.ts";
import { Fault } from "../../lib/base/fault.ts";
import { HealthDocument, type SessionEvent, StatusDocument } from "../../lib/control/api.ts";
import { fakeContext } from "./fake_context.ts";
import { fakeControl, GATEWAY, NOW, SIGNED_OUT, STATUS } from "./status_fixture.ts";

const PLAIN = { width: undefined, nowMs: NOW, paint: (_: Style, text: string) => text };

Deno.test("statusLines: answers first, then says what it is made of", () => {
  assert.equal(
    statusLines(STATUS, PLAIN).join("\n"),
    `Connected as "box" to portal.example: 2 resources, 1 gateway (direct, 12 ms)

Portal    wss://portal.example/, connected for 1 min
Tunnel    tun-fz, 100.64.0.1, fd00:2021:1111::1, MTU 1280, 2 routes
DNS       by systemd-resolved, 1 pattern, 7 questions
Internet  off
Session   profile default, fz 0.1.0, pid 4242, running for 3 min 12 s
Dropped   no-route 3

RESOURCE  ADDRESS              STATE
GitLab    gitlab.corp.example  direct 12 ms
Office    10.0.0.0/8           offline

GATEWAY          PATH          HANDSHAKE  RECEIVED     SENT
Berlin 22222222  direct 12 ms  45 s ago    312 MiB  1.5 KiB

RELAY     STATE         RTT
33333333  allocated  8.0 ms`,
  );
});

Deno.test("statusLines: says why nobody is connected and what to do", () => {
  assert.deepEqual(statusLines(SIGNED_OUT, PLAIN).slice(0, 4), [
    "Not signed in",
    "The token has expired",
    "Run `fz sign-in`.",
    "",
  ]);
});

Deno.test("statusLines: says what this machine's network lacks", () => {
  const lines = statusLines({
    ...STATUS,
    underlay: { hasPath: false, sockets: [], sendErrors: {}, resets: 0 },
    network: { excluded: [], lan: "allow", degraded: ["This machine has no IPv6"] },
  }, PLAIN);
  assert.equal(
    lines[0],
    'Connected as "box" to portal.example, but this machine has no working default route: 2 resources, 1 gateway (direct)',
  );
  assert.equal(lines[2], "Network   this machine has no working default route");
  assert.ok(lines.includes("Limited   This machine has no IPv6"));
});

Deno.test("statusLines: says which gateway has no path at the moment", () => {
  const { path: _, ...silent } = GATEWAY;
  const text = statusLines({ ...STATUS, gateways: [silent] }, PLAIN).join("\n");
  assert.match(text, /2 resources, 0 gateways\n/);
  assert.match(text, /^Berlin 22222222 +no path +45 s ago/m);
  assert.match(text, /^GitLab +gitlab\.corp\.example +no path$/m);
});

Deno.test("statusLines: fits into 40 columns", () => {
  for (const line of statusLines(STATUS, { ...PLAIN, width: 40 })) assert.ok(textWidth(line) <= 40, line);
});

Deno.test("statusLines: lets nobody write to the terminal by a name of his", () => {
  const evil = "\x1b[2J\x9b";
  const status: StatusDocument = {
    ...STATUS,
    profile: evil,
    device: { name: evil },
    problem: { code: "unreachable", message: evil, next: evil },
    portal: { url: evil, connected: false },
    resources: [{ ...STATUS.resources[0]!, name: evil, address: evil }],
    gateways: [{ ...GATEWAY, siteName: evil, state: evil }],
    relays: [{ id: evil, state: evil, relayedAddresses: [] }],
    drops: { [evil]: 1 },
  };
  for (const state of ["connected", "degraded", "connecting", "signed-out", "stopping"] as const) {
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(statusLines({ ...status, state }, PLAIN).join(""), /[\x00-\x1f\x7f-\x9f]/);
  }
});

Deno.test("headline: has a sentence for each state", () => {
  const table: [state: StatusDocument["state"], text: RegExp][] = [
    ["connected", /^Connected as "box" to portal\.example: 2 resources, 1 gateway \(direct, 12 ms\)$/],
    ["degraded", /^Connected as "box", but portal\.example is away: nothing new is granted/],
    ["connecting", /^Connecting to portal\.example$/],
    ["signed-out", /^Not signed in$/],
    ["stopping", /^Stopping$/],
  ];
  for (const [state, text] of table) assert.match(headline({ ...STATUS, state }), text);
});

Deno.test("stableText: changes with what happens, not with what is counted", () => {
  const counted: StatusDocument = {
    ...STATUS,
    drops: { "no-route": 99 },
    gateways: [{ ...GATEWAY, rxBytes: 1, lastHandshakeAgoMs: 1, path: { ...GATEWAY.path!, rttMs: 99 } }],
  };
  assert.equal(stableText(counted), stableText(STATUS));
  const relayed = {
    ...STATUS,
    gateways: [{ ...GATEWAY, path: { ...GATEWAY.path!, kind: "relayed" as const } }],
  };
  assert.notEqual(stableText(relayed), stableText(STATUS));
});

Deno.test("status: exits by the cause of what is in the way", async () => {
  const problem = (code: "unreachable" | "rejected" | "expired") => ({ problem: { code, message: "m" } });
  const table: [status: StatusDocument, code: number, live: number, ready: number][] = [
    [STATUS, 0, 0, 0],
    [{ ...STATUS, state: "degraded", ...problem("unreachable") }, 0, 0, 5],
    [{ ...STATUS, state: "connecting" }, 5, 0, 5],
    [{ ...STATUS, state: "connecting", ...problem("unreachable") }, 5, 0, 5],
    [{ ...SIGNED_OUT, ...problem("rejected") }, 3, 0, 3],
    [SIGNED_OUT, 4, 0, 4],
    [{ ...STATUS, state: "stopping" }, 12, 0, 12],
  ];
  for (const [status, code, live, ready] of table) {
    const ask = (args: string[]) => {
      const host = { control: () => Promise.resolve(fakeControl(() => status)) };
      return run(["status", ...args], fakeContext({ host }));
    };
    assert.equal(await ask([]), code, status.state);
    assert.equal(await ask(["--json"]), code, status.state);
    assert.equal(await ask(["--check", "live"]), live, status.state);
    assert.equal(await ask(["--check", "ready"]), ready, status.state);
  }
  assert.equal(await run(["status"], fakeContext()), 12);
});

Deno.test("status --check: prints one line, or the document", async () => {
  const host = { control: () => Promise.resolve(fakeControl(() => SIGNED_OUT)) };
  const context = fakeContext({ host });
  await run(["status", "--check", "ready"], context);
  await run(["status", "--check", "live"], context);
  assert.equal(context.written.stdout, "not ready: The token has expired\nlive\n");
  const json = fakeContext({ host });
  await run(["status", "--check", "ready", "--json"], json);
  assert.deepEqual(Object.keys(JSON.parse(json.written.stdout)), [
    "schema",
    "live",
    "ready",
    "state",
    "problem",
  ]);
  assert.ok(v.is(HealthDocument, JSON.parse(json.written.stdout)));
});

Deno.test("status --json: prints the document of the API, schema 1", async () => {
  const context = fakeContext({ host: { control: () => Promise.resolve(fakeControl(() => STATUS)) } });
  assert.equal(await run(["status", "--json"], context), 0);
  const document = JSON.parse(context.written.stdout);
  assert.equal(document.schema, 1);
  assert.deepEqual(document, STATUS);
  assert.deepEqual(v.parse(StatusDocument, document), STATUS);
});

Deno.test("status --watch: writes a line for each change in a pipe, and ends with 0 at a signal", async () => {
  const statuses = [STATUS, { ...STATUS, drops: { "no-route": 9 } }, {
    ...STATUS,
    state: "degraded" as const,
  }];
  const asked = Promise.withResolvers<void>();
  let count = 0;
  const next = () => {
    if (count >= statuses.length) asked.resolve();
    return statuses[Math.min(count++, statuses.length - 1)]!;
  };
  async function* events(): AsyncGenerator<SessionEvent> {
    for (let index = 0; index < 5; index++) {
      yield { time: "t", event: "state-changed" };
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  const context = fakeContext({ host: { control: () => Promise.resolve(fakeControl(next, events)) } });
  const code = run(["status", "--watch"], context);
  await asked.promise;
  context.signal("SIGINT");
  assert.equal(await code, 0);
  const lines = context.written.stdout.trimEnd().split("\n");
  assert.equal(lines.length, 2, context.written.stdout);
  assert.match(
    lines[0]!,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z Connected as "box" to portal\.example: 2 resources, 1 gateway \(direct\)$/,
  );
  assert.match(lines[1]!, /is away/);
});

Deno.test("status --watch: ends with the cause when the session goes, in a pipe", async () => {
  let count = 0;
  const next = () => {
    if (count++ === 0) return STATUS;
    throw new Fault("not-running", "The session was killed");
  };
  async function* events(): AsyncGenerator<SessionEvent> {
    yield { time: "t", event: "status" };
  }
  const context = fakeContext({ host: { control: () => Promise.resolve(fakeControl(next, events)) } });
  assert.equal(await run(["status", "--watch", "--json"], context), 12);
  assert.deepEqual(JSON.parse(context.written.stdout), STATUS);
  assert.match(context.written.stderr, /^fz: The session was killed/);
});

Deno.test("status --watch: draws on the other screen of a terminal and restores it, whatever happens", async () => {
  const shown = Promise.withResolvers<void>();
  let count = 0;
  const next = () => {
    if (++count === 1) return STATUS;
    if (count === 3) shown.resolve();
    throw new Fault("not-running", "No session runs", { next: "Run `fz up` to connect." });
  };
  async function* events(): AsyncGenerator<SessionEvent> {
    for (let index = 0; index < 5; index++) {
      yield { time: "t", event: "state-changed" };
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  const host = { control: () => Promise.resolve(fakeControl(next, events)) };
  const context = fakeContext({ host, isTerminal: true, env: { NO_COLOR: "1" } });
  const code = run(["status", "--watch"], context);
  await shown.promise;
  context.signal("SIGINT");
  assert.equal(await code, 0);
  const { stdout } = context.written;
  assert.ok(
    stdout.startsWith("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[KConnected as"),
    JSON.stringify(stdout.slice(0, 40)),
  );
  assert.ok(stdout.endsWith("\x1b[?7h\x1b[?25h\x1b[?1049l"));
  assert.ok(stdout.includes("\x1b[H\x1b[KNo session runs\r\n\x1b[KRun `fz up` to connect."));
});

Deno.test("status --watch: shows the session that takes the place of one that went", async () => {
  const other = fakeControl(() => ({ ...STATUS, device: { name: "other" } }));
  let count = 0;
  const first = fakeControl(() => {
    if (count++ === 0) return STATUS;
    throw new Fault("not-running", "The session was killed");
  });
  const host = { control: () => Promise.resolve(count === 0 ? first : other) };
  const context = fakeContext({ host, isTerminal: true, env: { NO_COLOR: "1" } });
  const code = run(["status", "--watch"], context);
  while (!context.written.stdout.includes('as "other"')) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  context.signal("SIGINT");
  assert.equal(await code, 0);
});

Deno.test("status --watch: writes lines at a terminal that cannot be drawn on", async () => {
  let count = 0;
  const next = () => {
    if (count++ === 0) return STATUS;
    throw new Fault("not-running", "The session was killed");
  };
  const host = { control: () => Promise.resolve(fakeControl(next)) };
  const context = fakeContext({ host, isTerminal: true, env: { TERM: "dumb" } });
  assert.equal(await run(["status", "--watch"], context), 12);
  assert.match(context.written.stdout, /^[\dT:.-]+Z Connected as [^\n]*\n$/);
});

Deno.test("status --watch --check: is told as wrong usage", async () => {
  const context = fakeContext();
  assert.equal(await run(["status", "--watch", "--check", "live"], context), 2);
});
