import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import type { Control } from "../../lib/control/control.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { SessionEvent, SessionState, StatusDocument } from "../../lib/control/api.ts";
import { type FakeContext, fakeContext, type FakeOptions } from "./fake_context.ts";
import { fakeCredentials } from "./fake_credentials.ts";

const TIME = "2026-01-02T03:04:05.000Z";

function status(state: SessionState, more: Partial<StatusDocument> = {}): StatusDocument {
  return {
    schema: 1,
    version: "0.1.0",
    pid: 4711,
    profile: "default",
    state,
    startedAt: TIME,
    portal: { url: "wss://portal.test/", connected: state === "connected" },
    device: { name: "box" },
    ...(state === "connected"
      ? { tunnel: { device: "fz0", ipv4: "100.64.0.1", ipv6: "fd00::1", mtu: 1280, routes: [] } }
      : {}),
    internet: { available: false, wanted: false, active: false },
    resources: [],
    gateways: [],
    relays: [],
    drops: {},
    ...more,
  };
}

/** A session that tells `events` and then waits, or ends. */
function session(
  events: SessionEvent[],
  options: { ends?: boolean; document?: StatusDocument; probes?: unknown[] } = {},
) {
  const asked: [string, unknown][] = [];
  const control = {
    ask: (route: string, request: unknown) => {
      asked.push([route, request]);
      return Promise.resolve(route === "status" ? options.document ?? status("connected") : { schema: 1 });
    },
    async *lines(route: string, request: unknown, signal?: AbortSignal) {
      asked.push([route, request]);
      yield* route === "wait" ? options.probes ?? [] : events;
      if (route === "wait" || options.ends === true) return;
      await new Promise<void>((resolve) =>
        signal?.addEventListener("abort", () => resolve(), { once: true })
      );
    },
  } as unknown as Control;
  return { control, asked };
}

function told(state: SessionState, problem?: StatusDocument["problem"]): SessionEvent {
  return { time: TIME, event: "state-changed", state, ...(problem === undefined ? {} : { problem }) };
}

function first(state: SessionState, more: Partial<StatusDocument> = {}): SessionEvent {
  return { ...status(state, more), time: TIME, event: "status" };
}

/** A context in which the session runs already, or (`isLaunched`) after `launch`. */
function withSession(
  control: Control,
  { isLaunched = false, ...options }: FakeOptions & { isLaunched?: boolean } = {},
): FakeContext {
  let runs = !isLaunched;
  const context: FakeContext = fakeContext({
    ...options,
    host: {
      control: () =>
        runs ? Promise.resolve(control) : Promise.reject(new Fault("not-running", "No session runs")),
      launch: (config) => {
        const { patience: _, ...rest } = config;
        context.calls.push(["launch", rest]);
        runs = true;
        return Promise.resolve({ how: "started", pid: 4711 });
      },
      ...options.host,
    },
  });
  return context;
}

const STORED = { readToken: () => Promise.resolve("stored-token\n") };

Deno.test("fz up: starts a session, tells the stages on standard error, and answers with one line", async () => {
  const events = [
    first("connecting"),
    { time: TIME, event: "portal-connected" },
    { time: TIME, event: "signed-in", resources: [{}, {}, {}] },
    { time: TIME, event: "ready" },
    told("connected"),
  ];
  const context = withSession(session(events).control, { isLaunched: true, host: STORED });
  assert.equal(await run(["up"], context), 0);
  assert.equal(context.written.stdout, "Connected: 0 resources, fz0 100.64.0.1\n");
  assert.match(
    context.written.stderr,
    /^fz: session [\d.]+ m?s\nfz: portal [\d.]+ m?s\nfz: 3 resources .*\nfz: tunnel .*\n$/,
  );
  assert.deepEqual(context.calls, [["launch", { profile: "default", token: undefined, args: [] }]]);
});

Deno.test("fz up: has others waited for no longer than for the tunnel", async () => {
  const patience: number[] = [];
  const busy = new Fault("timeout", "Cannot start a session: process 7 holds the lock");
  const context = withSession(session([]).control, {
    isLaunched: true,
    host: {
      ...STORED,
      launch: (config) => {
        patience.push(config.patience);
        return Promise.reject(busy);
      },
    },
  });
  assert.equal(await run(["up", "--timeout", "40s"], context), 9);
  const [given = 0] = patience;
  assert.ok(given > 0 && given <= 40_000, String(given));
});

Deno.test("fz up: hands a token from the environment on, and takes it out of it", async () => {
  const context = withSession(session([first("connected")]).control, {
    isLaunched: true,
    env: { FIREZONE_TOKEN: "t0ken" },
  });
  assert.equal(await run(["up", "--fail-fast"], context), 0);
  assert.equal(context.variables.has("FIREZONE_TOKEN"), false);
  assert.deepEqual(context.calls, [["launch", {
    profile: "default",
    token: "t0ken",
    args: ["--fail-fast"],
  }]]);
});

Deno.test("fz up: starts nothing for somebody who is not signed in", async () => {
  const context = withSession(session([]).control, { isLaunched: true });
  assert.equal(await run(["up"], context), 3);
  assert.match(context.written.stderr, /^fz: Cannot connect: nobody is signed in\n {4}Run `fz sign-in`/m);
  assert.deepEqual(context.calls, []);
});

Deno.test("fz up: says that it is connected already, also in JSON", async () => {
  const text = withSession(session([first("connected")]).control);
  assert.equal(await run(["up"], text), 0);
  assert.equal(text.written.stdout, "Already connected: 0 resources, fz0 100.64.0.1\n");
  assert.equal(text.written.stderr, "");
  assert.deepEqual(text.calls, []);
  const json = withSession(session([first("connected")]).control);
  assert.equal(await run(["up", "--json"], json), 0);
  const { schema, wasConnected, state, pid } = JSON.parse(json.written.stdout);
  assert.deepEqual({ schema, wasConnected, state, pid }, {
    schema: 1,
    wasConnected: true,
    state: "connected",
    pid: 4711,
  });
});

Deno.test("fz up: says that names are not found, unless it was told to leave DNS alone", async () => {
  const dns: StatusDocument["dns"] = {
    ...{ control: "disabled", reason: "/etc/resolv.conf cannot be written", sentinels: [], intercepted: [] },
    ...{ systemResolvers: [], answered: {}, cacheEntries: 0 },
  };
  const document = status("connected", { dns });
  for (
    const [env, says] of [[{}, /^fz: Names .*: .* cannot be written; see `fz dns status`\n$/], [
      { FZ_DNS_CONTROL: "disabled" },
      /^$/,
    ]] as const
  ) {
    const context = withSession(session([first("connected")], { document }).control, { env });
    assert.equal(await run(["up"], context), 0);
    assert.match(context.written.stderr, says);
  }
});

Deno.test("fz up: ends with the cause of a dead credential, and its exit code", async (t) => {
  for (const [code, exit] of [["rejected", 3], ["expired", 4]] as const) {
    await t.step(code, async () => {
      const problem = { code, message: "The portal does not want you", next: "Run `fz sign-in`." };
      const context = withSession(session([first("connecting"), told("signed-out", problem)]).control);
      assert.equal(await run(["up"], context), exit);
      assert.match(
        context.written.stderr,
        /fz: Cannot connect: The portal does not want you\n {4}Run `fz sign-in`\.\n$/,
      );
      assert.equal(context.written.stdout, "");
    });
  }
});

Deno.test("fz up: a token from the environment revives a session that is signed out", async () => {
  const { control, asked } = session([first("signed-out")]);
  let count = 0;
  const lines = control.lines.bind(control);
  const twice = {
    ...control,
    lines: (...args: Parameters<typeof lines>) => {
      return ++count === 1
        ? lines(...args)
        : session([first("connecting"), told("connected")]).control.lines(...args);
    },
  } as Control;
  const context = withSession(twice, { env: { FIREZONE_TOKEN: "fresh" } });
  assert.equal(await run(["up"], context), 0);
  assert.ok(asked.some(([route, request]) => {
    return route === "credential" && (request as { token: string }).token === "fresh";
  }));
});

Deno.test("fz up: gives up after the timeout with the cause, and the session goes on", async () => {
  const problem = { code: "unreachable", message: "Cannot reach the portal: connection refused" } as const;
  const { control, asked } = session([first("connecting"), told("connecting", problem)]);
  const context = withSession(control);
  assert.equal(await run(["up", "--timeout", "1s"], context), 5);
  assert.match(context.written.stderr, /connection refused; the session goes on trying\n {4}Run `fz status`/);
  assert.ok(!asked.some(([route]) => route === "stop"));
  const silent = withSession(session([first("connecting")]).control);
  assert.equal(await run(["up", "--timeout", "30ms"], silent), 9);
});

Deno.test("fz up --fail-fast: takes the session down that is too late", async () => {
  const { control, asked } = session([first("connecting")]);
  const context = withSession(control);
  assert.equal(await run(["up", "--timeout", "30ms", "--fail-fast"], context), 9);
  assert.ok(asked.some(([route]) => route === "stop"));
});

Deno.test("fz up --fail-fast: tells why a session ended that ends by itself when time is up", async () => {
  const { control } = session([first("connecting")]);
  const gone = new Fault("not-running", "The session (pid 4711) does not answer: it is starting or ending");
  const context = withSession(control, {
    host: {
      control: (authority) => authority === "change" ? Promise.reject(gone) : Promise.resolve(control),
      whyEnded: () =>
        Promise.resolve(new Fault("unreachable", "Cannot reach the portal: connection refused")),
    },
  });
  assert.equal(await run(["up", "--timeout", "30ms", "--fail-fast"], context), 5);
  assert.match(context.written.stderr, /Cannot reach the portal: connection refused/);
});

Deno.test("fz up: a signal stops the waiting, and says that the session goes on", async () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const { control, asked } = session([first("connecting")]);
    const context = withSession(control);
    const done = run(["up"], context);
    while (!context.written.stderr.includes("session")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    context.signal(signal);
    assert.equal(await done, code);
    assert.match(context.written.stderr, /goes on connecting: `fz status` .* `fz down`/);
    assert.ok(!asked.some(([route]) => route === "stop"));
  }
});

Deno.test("fz up: tells why the session ended", async () => {
  const { control } = session([first("connecting")], { ends: true });
  const context = withSession(control, {
    host: { whyEnded: () => Promise.resolve(new Fault("dns", "Cannot set DNS", { next: "Do that." })) },
  });
  assert.equal(await run(["up"], context), 8);
  assert.match(context.written.stderr, /fz: Cannot set DNS\n {4}Do that\.\n$/);
  const silent = withSession(session([first("connecting")], { ends: true }).control);
  assert.equal(await run(["up"], silent), 12);
});

Deno.test("fz up: tells why a session ended that it has just started", async () => {
  const lost = {
    ask: () => Promise.reject(new Fault("not-running", "Lost the session")),
    lines: () => {
      throw new Fault("not-running", "Lost the session");
    },
  } as unknown as Control;
  const pids: number[] = [];
  const whyEnded = (pid: number) => {
    pids.push(pid);
    return Promise.resolve(new Fault("privilege", "Cannot make a TUN device"));
  };
  const context = withSession(lost, { isLaunched: true, host: { ...STORED, whyEnded } });
  assert.equal(await run(["up"], context), 6);
  assert.deepEqual(pids, [4711]);
});

Deno.test("fz up --wait: waits for resources, and says why one does not answer", async () => {
  const good = [{ event: "done", target: "db", sent: 1, received: 1 }];
  const { control, asked } = session([first("connected")], { probes: good });
  assert.equal(await run(["up", "--wait", "db"], withSession(control)), 0);
  const request = asked.find(([route]) => route === "wait")![1] as { targets: string[]; timeoutMs: number };
  assert.deepEqual(request.targets, ["db"]);
  assert.ok(request.timeoutMs > 0 && request.timeoutMs <= 60_000);
  const bad = [
    {
      event: "failure",
      target: "db",
      cause: "site-offline",
      problem: { code: "offline", message: "The site is offline" },
    },
    { event: "done", target: "db", sent: 0, received: 0 },
  ];
  const context = withSession(session([first("connected")], { probes: bad }).control);
  assert.equal(await run(["up", "--wait", "db"], context), 11);
  assert.match(context.written.stderr, /fz: The site is offline\n$/);
  assert.equal(context.written.stdout, "");
});

Deno.test("fz up: refuses to take the session of another profile for its own", async () => {
  const document = status("connected", { profile: "work" });
  const context = withSession(session([first("connected")], { document }).control);
  assert.equal(await run(["up"], context), 7);
  assert.match(context.written.stderr, /profile "work" runs \(pid 4711\)\n {4}Run `fz down`/);
});

Deno.test("fz up: on a terminal redraws one line and takes it away", async () => {
  const events = [first("connecting"), { time: TIME, event: "portal-connected" }, told("connected")];
  const context = withSession(session(events).control, { isTerminal: true });
  assert.equal(await run(["up"], context), 0);
  assert.doesNotMatch(context.written.stderr, /\n/);
  assert.match(context.written.stderr, /portal [\d.]+ m?s · resources …/);
  assert.ok(context.written.stderr.endsWith("\r\x1b[K"));
});

Deno.test("fz down: stops the session and waits until it is gone", async () => {
  const { control, asked } = session([]);
  const gone: [number, number][] = [];
  const context = withSession(control, {
    host: {
      untilGone: (pid, limit) => {
        gone.push([pid, limit]);
        return Promise.resolve(true);
      },
    },
  });
  assert.equal(await run(["down"], context), 0);
  assert.equal(context.written.stdout, "Disconnected\n");
  assert.deepEqual(asked.map(([route]) => route), ["status", "stop"]);
  assert.equal(gone[0]![0], 4711);
  assert.ok(gone[0]![1] > 0 && gone[0]![1] <= 10_000);
});

Deno.test("fz down: fails with 8 where the machine's DNS is not as it was", async () => {
  const why = new Fault("dns", "The session has ended, but", { next: "Run `fz cleanup`." });
  const asked: number[] = [];
  const whyEnded = (pid: number) => {
    asked.push(pid);
    return Promise.resolve(why);
  };
  const context = withSession(session([]).control, { host: { whyEnded } });
  assert.equal(await run(["down"], context), 8);
  assert.deepEqual(asked, [4711]);
  assert.match(context.written.stderr, /The session has ended, but.*Run `fz cleanup`/s);
});

Deno.test("fz down: says that nothing was connected, and what a killed session had left", async () => {
  const nothing = fakeContext();
  assert.equal(await run(["down"], nothing), 0);
  assert.equal(nothing.written.stdout, "Was not connected\n");
  assert.equal(nothing.written.stderr, "");
  const report = { session: { pid: 7 }, network: ["rule", "route"], wasDnsRestored: true, files: ["/run/x"] };
  const killed = fakeContext({ host: { cleanUp: () => Promise.resolve(report) } });
  assert.equal(await run(["down"], killed), 0);
  assert.equal(killed.written.stdout, "Was not connected\n");
  assert.match(
    killed.written.stderr,
    /The session was killed: restored DNS, removed 2 rules and routes, removed 1 file of the session with pid 7/,
  );
});

Deno.test("fz down: waits for a session that is just starting, and for one that another ended", async () => {
  const { control } = session([]);
  let tries = 0;
  const context = fakeContext({
    host: {
      control: () =>
        ++tries < 3 ? Promise.reject(new Fault("not-running", "starting")) : Promise.resolve(control),
      cleanUp: () => Promise.reject(new Fault("tun", "Cannot clean up: the session runs")),
    },
  });
  assert.equal(await run(["down"], context), 0);
  const ending = {
    ...control,
    ask: () => Promise.reject(new Fault("not-running", "gone")),
  } as unknown as Control;
  assert.equal(await run(["down"], withSession(ending)), 0);
});

Deno.test("fz down: exits 9 and names the process that does not end", async () => {
  const context = withSession(session([]).control, { host: { untilGone: () => Promise.resolve(false) } });
  assert.equal(await run(["down", "--timeout", "1s"], context), 9);
  assert.match(
    context.written.stderr,
    /\(pid 4711\) does not end\n {4}Run "kill -9 4711", then `fz cleanup`/,
  );
});

Deno.test("fz cleanup: says what was undone, in words and in JSON", async () => {
  const nothing = fakeContext();
  assert.equal(await run(["cleanup"], nothing), 0);
  assert.equal(nothing.written.stdout, "Nothing to clean up\n");
  const report = { session: undefined, network: ["rule"], wasDnsRestored: false, files: [] };
  const some = fakeContext({ host: { cleanUp: () => Promise.resolve(report) } });
  assert.equal(await run(["cleanup"], some), 0);
  assert.equal(some.written.stdout, "Removed 1 rule or route\n");
  const json = fakeContext({ host: { cleanUp: () => Promise.resolve(report) } });
  assert.equal(await run(["cleanup", "--json"], json), 0);
  assert.deepEqual(JSON.parse(json.written.stdout), {
    schema: 1,
    network: ["rule"],
    wasDnsRestored: false,
    files: [],
  });
});

Deno.test("fz run --token-stdin: takes the token from there, whatever the environment has", async () => {
  const reading = (text: string) => ({
    credentials: () => Promise.resolve(fakeCredentials({ readInput: () => Promise.resolve(text) })),
  });
  const context = fakeContext({ host: reading("  t0ken\r\n"), env: { FIREZONE_TOKEN: "other" } });
  assert.equal(await run(["run", "--service", "--token-stdin"], context), 0);
  const [, config] = context.calls[0] as [string, { token: unknown }];
  assert.equal(config.token, "t0ken");
  assert.equal(context.env.get("FIREZONE_TOKEN"), undefined);
  const empty = fakeContext({ host: reading("\n") });
  assert.equal(await run(["run", "--service", "--token-stdin"], empty), 3);
  assert.deepEqual(empty.calls, []);
});

Deno.test("fz run --service: starts also without a token", async () => {
  const context = fakeContext();
  assert.equal(await run(["run", "--service"], context), 0);
  const [name, config] = context.calls[0] as [string, { token: unknown; waitsForCredential: boolean }];
  assert.deepEqual([name, config.token, config.waitsForCredential], ["startSession", undefined, true]);
});

Deno.test("fz cleanup: names what the journal had, and a journal that cannot be understood", async () => {
  const report = {
    session: { pid: 7 },
    network: [],
    wasDnsRestored: true,
    changes: ["the file /etc/resolv.conf", "the kernel setting net/x"],
    files: [],
    setAside: ["/var/lib/fz/journal.json.garbled"],
  };
  const context = fakeContext({ host: { cleanUp: () => Promise.resolve(report) } });
  assert.equal(await run(["cleanup"], context), 0);
  assert.deepEqual(context.written.stdout.split("\n").slice(-4), [
    "  the file /etc/resolv.conf",
    "  the kernel setting net/x",
    "  /var/lib/fz/journal.json.garbled",
    "",
  ]);
  assert.match(
    context.written.stdout.replaceAll(/\s+/g, " "),
    /^Restored DNS, undid 1 noted change, set a garbled journal aside of the session with pid 7 /,
  );
});
