import assert from "node:assert/strict";
import { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { ProbeEvent } from "../../lib/control/api.ts";
import { ON_LINK } from "../../lib/host/route_plan.ts";
import { explainTarget } from "../../io/service/explain.ts";
import type { ProbeEngine, ProbeSession, ProbeWorld } from "../../io/service/probe.ts";
import { ping, waitFor } from "../../io/service/wait.ts";
import { Questions } from "../../io/questions.ts";
import { Harness, INTERNET, OFFICE, SITE, WIKI } from "../lib/client/harness.ts";

const HOST = { ...OFFICE, id: "r-host", name: "Host", address: "10.20.0.9/32" };
const POOL = {
  ...{ type: "static_device_pool", id: "r-pool", name: "Laptops", address_description: null, filters: [] },
  devices: [{ client_id: "c", ipv4: "100.64.0.9/32", ipv6: "fd00:2021:1111::9:9/128" }],
};

Deno.test("waitFor tells each stage once and ends with the answer", async () => {
  const world = new World([HOST]);
  world.portal = () => world.connect("r-host");
  const events = await collect(waitFor(world.session, { targets: ["Host:22"] }, world.signal, world));
  assert.deepEqual(words(events), [
    "stage signed-in",
    "stage known Host",
    "stage authorised g1",
    "stage connected direct",
    "stage reachable tcp",
    "reply tcp 10.20.0.9 g1 direct",
    "done 1/1",
  ]);
  assert.deepEqual(world.knocked, ["10.20.0.9:22"]);
});

Deno.test("waitFor waits for all targets, and tells of each by itself", async () => {
  const world = new World([HOST, { ...HOST, id: "r-2", name: "Second", address: "10.20.0.10/32" }]);
  world.portal = (id) => world.connect(id);
  const events = await collect(
    waitFor(world.session, { targets: ["Host:1", "Second:2", "Host:1"] }, world.signal, world),
  );
  const done = events.flatMap((event) => event.event === "done" ? [`${event.target} ${event.received}`] : []);
  assert.deepEqual(done.sort(), ["Host:1 1", "Second:2 1"]);
});

Deno.test("waitFor says what is in the way when time is over, with the code of the cause", async () => {
  const refuse = (reason: string, properties: string[] = []) => (world: World, id: string) =>
    world.harness.portal("authorization_creation_failed", {
      resource_id: id,
      reason,
      violated_properties: properties,
    });
  const cases: [
    cause: string,
    code: string,
    says: RegExp,
    target: string,
    prepare: (world: World) => void,
  ][] = [
    ["unknown-resource", "unknown-resource", /no resource/, "Hots", () => {}],
    ["denied", "unknown-resource", /verification of this device/, "Host", (world) => {
      world.portal = (id) => refuse("forbidden", ["client_verified"])(world, id);
    }],
    ["denied", "unknown-resource", /of a version/, "Host", (world) => {
      world.portal = (id) => refuse("version_mismatch")(world, id);
    }],
    ["denied", "unknown-resource", /the portal refused it \(strange\)/, "Host", (world) => {
      world.portal = (id) => refuse("strange")(world, id);
    }],
    ["denied", "unknown-resource", /pool of devices/, "Laptops", () => {}],
    ["site-offline", "offline", /site "Paris"/, "Host", (world) => {
      world.portal = (id) => refuse("offline")(world, id);
    }],
    ["no-relays", "unreachable", /no relay/, "Host", (world) => {
      world.harness.node.hasRelay = false;
    }],
    ["portal-unreachable", "unreachable", /portal/, "Host", (world) => {
      world.harness.session.handlePortalLost(world.harness.now);
    }],
    ["gateway-connecting", "timeout", /portal has not answered/, "Host", () => {}],
    ["gateway-connecting", "timeout", /being connected/, "Host", (world) => {
      world.portal = (id) => world.harness.grant(id, "g1");
    }],
    ["path-lost", "offline", /lost/, "Host:1", (world) => {
      world.tcp = () => ({ type: "silent" });
      let times = 0;
      world.portal = (id) => times++ === 0 && world.connect(id);
      world.onKnock = () => world.harness.fail("g1");
    }],
    ["filtered", "unknown-resource", /allows only icmp/, "Deaf:80", () => {}],
    ["no-answer", "timeout", /silent/, "Host:1", (world) => {
      world.portal = (id) => world.connect(id);
      world.tcp = () => ({ type: "silent" });
    }],
    ["no-answer", "timeout", /no way to it/, "Host:1", (world) => {
      world.portal = (id) => world.connect(id);
      world.tcp = () => ({ type: "unreachable" });
    }],
    ["denied", "unknown-resource", /the gateway refused/, "Host:1", (world) => {
      world.portal = (id) => world.connect(id);
      world.tcp = () => ({ type: "prohibited" });
    }],
  ];
  const deaf = {
    ...HOST,
    id: "r-deaf",
    name: "Deaf",
    address: "10.20.0.8/32",
    filters: [{ protocol: "icmp" }],
  };
  for (const [cause, code, says, target, prepare] of cases) {
    const world = new World([HOST, deaf, POOL]);
    prepare(world);
    const request = { targets: [target], timeoutMs: 300 };
    const events = await collect(waitFor(world.session, request, world.signal, world));
    const failure = events.findLast((event) => event.event === "failure");
    assert.ok(failure?.event === "failure", `${cause}: ${words(events).join(", ")}`);
    assert.deepEqual([failure.cause, failure.problem.code], [cause, code]);
    assert.match(failure.problem.message, says);
    assert.ok(failure.problem.next);
    assert.equal(words(events).at(-1)?.startsWith("done 0/"), true);
  }
});

Deno.test("waitFor ends at once where only a person can help", async () => {
  const world = new World([HOST]);
  world.harness.session.setDisabledResources([HOST.id], world.harness.now);
  const disabled = await collect(waitFor(world.session, { targets: ["10.20.0.9"] }, world.signal, world));
  assert.deepEqual(words(disabled), ["stage signed-in", "failure disabled", "done 0/0"]);
  const nobody: ProbeSession = { engine: undefined, state: "signed-out", problem: undefined };
  assert.deepEqual(words(await collect(waitFor(nobody, { targets: ["x"] }, world.signal, world))), [
    "failure not-signed-in",
    "done 0/0",
  ]);
});

Deno.test("waitFor asks for access again and again, but not often", async () => {
  const world = new World([HOST]);
  let asked = 0;
  world.portal = () => asked++;
  await collect(waitFor(world.session, { targets: ["Host"], timeoutMs: 400 }, world.signal, world));
  assert.equal(asked, 1);
  world.harness.now += 10_000;
});

Deno.test("waitFor ends when nobody listens any longer", async () => {
  const world = new World([HOST]);
  const abort = new AbortController();
  const events: ProbeEvent[] = [];
  for await (const event of waitFor(world.session, { targets: ["Host"] }, abort.signal, world)) {
    events.push(event);
    if (event.event === "stage" && event.stage === "known") abort.abort();
  }
  assert.deepEqual(words(events), ["stage signed-in", "stage known Host"]);
});

Deno.test("ping counts answers and silence, and ends after as many as asked for", async () => {
  const world = new World([HOST]);
  world.portal = (id) => world.connect(id);
  let turn = 0;
  world.tcp = () => turn++ === 1 ? { type: "silent" } : { type: "reply", rttMs: 3 };
  const request = { target: "Host:1", count: 3, intervalMs: 1, timeoutMs: 500 };
  const events = await collect(ping(world.session, request, world.signal, world));
  assert.deepEqual(words(events), [
    "reply tcp 10.20.0.9 g1 direct",
    "failure no-answer",
    "reply tcp 10.20.0.9 g1 direct",
    "done 2/3",
  ]);
});

Deno.test("ping ends at once for what is no resource", async () => {
  const world = new World([HOST]);
  const events = await collect(ping(world.session, { target: "nothing", count: 5 }, world.signal, world));
  assert.deepEqual(words(events), ["failure unknown-resource", "done 0/1"]);
});

Deno.test("explainTarget says in a sentence what happens", () => {
  const web = { ...WIKI, filters: [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }] };
  const world = new World([web, HOST, POOL]);
  const explain = (target: string, port?: number) => {
    const { because, verdict, problem } = explainTarget(
      world.engine,
      { target, ...(port === undefined ? {} : { port }) },
    );
    return `${verdict} ${problem?.code ?? "-"} ${because}`;
  };
  const cases: [actual: string, expected: RegExp][] = [
    [explain("a.wiki.corp.example"), /^resource - Resource "Wiki" leads there.*first packet will ask/],
    [explain("Wiki"), /^resource - Resource "Wiki" leads there/],
    [explain("a.wiki.corp.example", 443), /^resource - /],
    [explain("a.wiki.corp.example:80"), /^resource unknown-resource .* by tcp\/80: .* allows only tcp\/443/],
    [explain("8.8.8.8"), /^not-tunnelled - No resource leads there/],
    [explain("Hots"), /Did you mean "Host"/],
    [explain("100.100.111.1"), /^dns - It is a name server of the session itself/],
    [explain("100.64.0.9"), /^refused unknown-resource .*pool of devices/],
    [explain("100.64.0.77"), /^refused unknown-resource /],
  ];
  for (const [actual, expected] of cases) assert.match(actual, expected);
  world.portal = (id) => world.connect(id);
  world.engine.questions.requestAccess(HOST.id);
  assert.match(explain("10.20.0.9"), /through gateway g1 \(direct, 3\.0 ms\)/);
  assert.match(explain("100.81.7.1"), /^gateway - It is the tunnel address of gateway g1/);
  world.harness.node.connections.get("g1")!.connected = false;
  assert.match(
    explain("10.20.0.9"),
    /^resource offline Cannot reach "10\.20\.0\.9": the connection .* is lost/,
  );
});

Deno.test("explainTarget says what the machine leads past the tunnel", () => {
  const second = { ...HOST, id: "r-2", name: "Second", address: "10.20.0.10/32" };
  const world = new World([HOST, second, INTERNET]);
  world.harness.session.setInternetResource(true, performance.now());
  const passing = {
    own: [IpNetwork.from("192.168.77.1/32"), IpNetwork.from("127.0.0.0/8")],
    bypass: [IpAddress.from("198.51.100.1"), IpAddress.from("10.20.0.9")],
    excluded: [
      IpNetwork.from("10.20.0.0/29"),
      IpNetwork.from("203.0.113.0/24"),
      IpNetwork.from("100.64.0.0/10"),
    ],
    local: [
      ...ON_LINK,
      IpNetwork.from("10.20.0.0/16"),
      IpNetwork.from("192.168.77.0/24"),
    ],
  };
  const explain = (target: string) => {
    const { because, verdict, matches } = explainTarget(world.engine, { target }, passing);
    return `${verdict} ${matches.map(({ resource }) => resource.name).join()} ${because}`;
  };
  assert.match(explain("203.0.113.7"), /^not-tunnelled {2}Network 203\.0\.113\.0\/24 is excluded/);
  assert.match(
    explain("192.168.77.10"),
    /^not-tunnelled {2}Network 192\.168\.77\.0\/24 is this machine's own/,
  );
  assert.match(
    explain("www.example.org"),
    /^resource Internet Resource Resource "Internet Resource" leads there, .*local or excluded go past/,
  );
  assert.match(explain("Hots"), /leads there, .* Did you mean "Host"\?$/);
  // Our resolvers are in the tunnel whatever is excluded.
  assert.match(explain("100.100.111.1"), /^dns /);
  assert.match(explain("100.70.0.1"), /^not-tunnelled {2}Network 100\.64\.0\.0\/10 is excluded/);
  // A resource of its own beats the local network, but not what the session itself needs.
  assert.match(explain("10.20.0.10"), /^resource Second Resource "Second" leads there/);
  for (const address of ["10.20.0.9", "198.51.100.1"]) {
    assert.match(explain(address), /^not-tunnelled {2}The session itself needs it/);
  }
  for (const address of ["192.168.77.1", "127.0.0.1"]) {
    assert.match(explain(address), /^not-tunnelled {2}It is an address of this machine itself/);
  }
  for (
    const [address, network] of [
      ["169.254.1.1", "169\\.254\\.0\\.0/16"],
      ["224.0.0.251", "224\\.0\\.0\\.0/4"],
      ["255.255.255.255", "255\\.255\\.255\\.255/32"],
      ["ff02::fb", "ff00::/8"],
    ] as const
  ) {
    const expected = new RegExp(`^not-tunnelled {2}No router passes on what is sent to ${network}`);
    assert.match(explain(address), expected);
  }
  assert.match(explain("8.8.8.8"), /^resource Internet Resource Resource "Internet Resource" leads there/);
});

/** A session in which the test plays the portal, the gateway and the hosts. */
class World implements ProbeWorld {
  readonly harness: Harness;
  readonly engine: ProbeEngine;
  readonly session: ProbeSession;
  readonly signal = new AbortController().signal;
  readonly knocked: string[] = [];
  /** What the portal does about a request for access. */
  portal: (resourceId: string) => unknown = () => {};
  tcp: () => { type: "reply"; rttMs: number } | { type: "silent" | "unreachable" | "prohibited" } = () => ({
    type: "reply",
    rttMs: 1,
  });
  onKnock: () => void = () => {};

  constructor(resources: readonly unknown[]) {
    const harness = this.harness = Harness.started(resources);
    // The clock of the session is that of the process, as in the program.
    const questions = new Questions(harness.session, () => {
      harness.now = performance.now();
      for (const id of harness.takeRequests()) this.portal(id);
    });
    this.engine = { questions, status: () => harness.session.status(performance.now()) };
    this.session = { engine: this.engine, state: "connected", problem: undefined };
  }

  now(): number {
    return performance.now();
  }

  connectTcp(address: IpAddress, port: number) {
    this.knocked.push(`${address}:${port}`);
    this.onKnock();
    return Promise.resolve(this.tcp());
  }

  connect(resourceId: string): void {
    this.harness.now = performance.now();
    this.harness.grant(resourceId, "g1", { site_id: SITE.id });
    this.harness.connect("g1");
  }
}

async function collect(events: AsyncIterable<ProbeEvent>): Promise<ProbeEvent[]> {
  const all: ProbeEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function words(events: readonly ProbeEvent[]): string[] {
  return events.map((event) => {
    switch (event.event) {
      case "stage":
        return `stage ${event.stage}${event.detail === undefined ? "" : ` ${event.detail}`}`;
      case "reply":
        return `reply ${event.method} ${event.address} ${event.gatewayId} ${event.path?.kind}`;
      case "failure":
        return `failure ${event.cause}`;
      case "done":
        return `done ${event.received}/${event.sent}`;
    }
  });
}
