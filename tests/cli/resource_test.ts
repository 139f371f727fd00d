import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import type { Control } from "../../lib/control/control.ts";
import { explanationFacts } from "../../cli/explain_text.ts";
import { answerLines, dnsFacts } from "../../cli/dns_text.ts";
import { describeInternet } from "../../cli/commands/internet.ts";
import { pathChange, PingStatistics, replyLine, stageText } from "../../cli/probe_text.ts";
import { describeFilters, resourceFacts, resourceState } from "../../cli/resource_text.ts";
import type { GatewayDocument, PathDocument, ProbeEvent, ResourceDocument } from "../../lib/control/api.ts";
import { fakeContext, type FakeOptions } from "./fake_context.ts";

const PATH: PathDocument = {
  ...{ kind: "direct", local: "192.0.2.1:1", remote: "192.0.2.2:2", localKind: "host", remoteKind: "host" },
  rttMs: 12.34,
};
const GATEWAY: GatewayDocument = {
  ...{ id: "g1", siteId: "s1", siteName: "Paris", ipv4: "100.64.0.1", ipv6: "fd00::1", resourceIds: ["r1"] },
  ...{ state: "connected", path: PATH, rxBytes: 1, txBytes: 2 },
};
const WEB: ResourceDocument = {
  ...{ id: "r1", type: "dns", name: "web", address: "web.corp", filters: [], state: "online", enabled: true },
  sites: [{ id: "s1", name: "Paris", state: "online" }],
  ...{ access: "connected", gatewayId: "g1" },
};

Deno.test("resourceState tells where a resource stands in a word or two", () => {
  const cases: [change: Partial<ResourceDocument>, text: string][] = [
    [{}, "direct 12 ms"],
    [{ enabled: false }, "disabled"],
    [{ enabled: false, type: "internet" }, "off"],
    [{ warning: "no pattern" }, "unusable"],
    [{ access: "connecting" }, "connecting"],
    [{ access: "requested" }, "requested"],
    [{ access: "none", state: "unknown" }, "not used yet"],
    [{ access: "none", state: "online" }, "online"],
    [{ access: "none", state: "offline" }, "offline"],
    [{ access: "requested", denial: { reason: "offline", violatedProperties: [], agoMs: 1 } }, "offline"],
    [{ access: "requested", denial: { reason: "forbidden", violatedProperties: [], agoMs: 1 } }, "denied"],
  ];
  for (const [change, text] of cases) assert.equal(resourceState({ ...WEB, ...change }, GATEWAY).text, text);
  assert.equal(resourceState(WEB, undefined).text, "connected");
});

Deno.test("describeFilters names ports and ranges", () => {
  assert.equal(describeFilters([]), "everything");
  assert.equal(
    describeFilters([
      { protocol: "tcp", firstPort: 443, lastPort: 443 },
      { protocol: "udp", firstPort: 1, lastPort: 2 },
      { protocol: "icmp" },
    ]),
    "tcp/443, udp/1-2, icmp",
  );
});

Deno.test("resourceFacts tells everything about a resource", () => {
  const denial = { reason: "forbidden", violatedProperties: ["client_verified"], agoMs: 5000 };
  assert.deepEqual(resourceFacts({ ...WEB, addressDescription: "the wiki", denial }, GATEWAY), [
    ["Name", "web"],
    ["State", "direct 12 ms"],
    ["Address", "web.corp"],
    ["Description", "the wiki"],
    ["Allows", "everything"],
    ["Site", "Paris (online)"],
    ["Gateway", "g1 (100.64.0.1, fd00::1)"],
    ["Path", "direct 12 ms, 192.0.2.1:1 to 192.0.2.2:2"],
    ["Denied", "forbidden: client_verified, 5 s ago"],
    ["Type", "dns"],
    ["Id", "r1"],
  ]);
});

Deno.test("replyLine names the gateway, the path and the time", () => {
  const reply = { event: "reply", target: "t", sequence: 1, address: "100.96.0.1", rttMs: 12.34 } as const;
  const relayed: PathDocument = { ...PATH, kind: "relayed" };
  assert.equal(
    replyLine({ ...reply, method: "icmp", gatewayId: "g1", path: PATH }),
    "reply from 100.96.0.1 via gateway g1 direct 12.3 ms",
  );
  assert.equal(
    replyLine({ ...reply, method: "tcp", gatewayId: "g1", path: relayed }),
    "reply from 100.96.0.1 (tcp) via gateway g1 relayed 12.3 ms",
  );
  assert.equal(
    replyLine({ ...reply, method: "gateway", gatewayId: "g1", path: PATH }),
    "reply from gateway g1 direct 12.3 ms",
  );
});

Deno.test("pathChange tells what is new of a path", () => {
  assert.equal(pathChange(undefined, PATH), undefined);
  assert.equal(pathChange(PATH, { ...PATH, rttMs: 1 }), undefined);
  assert.match(pathChange({ ...PATH, kind: "relayed" }, PATH)!, /^path is direct now/);
  assert.match(pathChange(PATH, { ...PATH, remote: "192.0.2.9:9" })!, /^path changed: .* to 192\.0\.2\.9:9$/);
});

Deno.test("PingStatistics counts, also where nothing came back", () => {
  const statistics = new PingStatistics();
  assert.deepEqual(statistics.lines("t"), ["t: 0 probes, 0 replies, 0% lost"]);
  statistics.handleSent(1);
  assert.deepEqual(statistics.lines("t"), ["t: 1 probe, 0 replies, 100% lost"]);
  statistics.handleSent(3);
  statistics.handleReply(10);
  statistics.handleReply(20.5);
  assert.deepEqual(statistics.lines("t"), [
    "t: 3 probes, 2 replies, 33% lost",
    "round trip: 10.0 ms min, 15.3 ms mean, 20.5 ms max",
  ]);
});

Deno.test("stageText has words for every stage", () => {
  const stages = ["signed-in", "known", "authorised", "connected", "named", "reachable"] as const;
  const texts = stages.map((stage) => stageText({ event: "stage", target: "t", stage }));
  assert.equal(new Set(texts).size, stages.length);
});

Deno.test("explanationFacts tells what an explanation rests on", () => {
  const facts = explanationFacts({
    ...{ target: "a.corp", kind: "name", domain: "a.corp", addresses: ["100.96.0.1"], verdict: "resource" },
    matches: [{ resource: WEB, permitted: false, mapping: "failed" }],
    ...{ gateway: GATEWAY, because: "" },
  });
  assert.deepEqual(facts, [
    ["Seen as", "100.96.0.1"],
    [
      "Resource",
      "web: web.corp, direct 12 ms, allows everything, not this, the gateway finds no address for the name",
    ],
    ["Gateway", "g1 at site Paris, direct 12 ms"],
  ]);
});

Deno.test("answerLines prints records aligned, and who gave them", () => {
  const answer = { name: "a.corp", type: "A", rcode: "NOERROR", answers: [], source: "cache", ms: 1.25 };
  assert.deepEqual(answerLines(answer), ["no records of that type", "answered from the cache in 1.3 ms"]);
  assert.deepEqual(answerLines({ ...answer, rcode: "NXDOMAIN", source: "9.9.9.9:53" }), [
    "NXDOMAIN",
    "answered by 9.9.9.9:53 in 1.3 ms",
  ]);
  assert.deepEqual(
    answerLines({
      ...answer,
      answers: [{ name: "a.corp", type: "A", ttl: 1, data: "100.96.0.1" }],
      ...{ source: "resource", resource: "web" },
    }),
    ["a.corp  1  A  100.96.0.1", 'answered by resource "web" in 1.3 ms'],
  );
});

Deno.test("dnsFacts tells who is asked, and that there is nobody", () => {
  const facts = dnsFacts({
    ...{ control: "disabled", sentinels: [], systemResolvers: [], intercepted: [], answered: { cache: 0 } },
    cacheEntries: 0,
  });
  assert.ok(facts.some(([, value]) => /nobody to ask/.test(value)));
  assert.ok(facts.some(([label, value]) => label === "Answered" && value === "nothing yet"));
});

Deno.test("describeInternet has a sentence for each state", () => {
  const states = [[true, true, true], [false, true, false], [true, false, false], [
    false,
    false,
    false,
  ]] as const;
  const sentences = states.map(([available, wanted, active]) =>
    describeInternet({ available, wanted, active })
  );
  assert.equal(new Set(sentences).size, 4);
});

Deno.test("fz resource list: a table of all resources, or why there are none", async () => {
  const { code, stdout } = await fz(["resource"], { status: { resources: [WEB], gateways: [GATEWAY] } });
  assert.equal(code, 0);
  assert.equal(stdout, "NAME  ADDRESS   STATE         SITE\nweb   web.corp  direct 12 ms  Paris\n");
  const none = await fz(["resource", "list", "--site", "Rome"], {
    status: { resources: [WEB], gateways: [] },
  });
  assert.deepEqual([none.stdout, none.stderr], ["", "fz: No resources: none is of that site\n"]);
  const json = await fz(["resource", "list", "--json"], { status: { resources: [WEB], gateways: [] } });
  assert.deepEqual(JSON.parse(json.stdout), { schema: 1, resources: [WEB] });
});

Deno.test("fz resource show: finds by name in any case, address and id; suggests the nearest", async () => {
  const answers = { status: { resources: [WEB], gateways: [GATEWAY] } };
  for (const text of ["web", "WEB", "r1", "web.corp"]) {
    assert.match((await fz(["resource", "show", text], answers)).stdout, /^Name +web$/m);
  }
  const { code, stderr } = await fz(["resource", "show", "wed"], answers);
  assert.equal(code, 10);
  assert.match(stderr, /Did you mean "web"\?/);
});

Deno.test("fz wait: exits with the code of what is in the way, and says what to do", async () => {
  const problem = { code: "offline", message: 'Cannot reach "b": no gateway', next: "Start it." } as const;
  const events: ProbeEvent[] = [
    { event: "stage", target: "a", stage: "signed-in" },
    { event: "failure", target: "b", cause: "site-offline", problem },
    {
      event: "reply",
      target: "a",
      sequence: 1,
      method: "icmp",
      address: "100.96.0.1",
      rttMs: 1,
      gatewayId: "g1",
    },
    { event: "done", target: "a", sent: 1, received: 1 },
    { event: "done", target: "b", sent: 0, received: 0 },
  ];
  const { code, stdout, stderr } = await fz(["wait", "a", "b"], { wait: events });
  assert.equal(code, 11);
  assert.equal(stdout, "a: reply from 100.96.0.1 via gateway g1 1.0 ms\n");
  assert.match(
    stderr,
    /^fz: a: signed in\nfz: b: .* waiting\nfz: Cannot reach "b": no gateway\n {4}Start it\.\n$/,
  );
  const quiet = await fz(["wait", "-q", "a", "b"], { wait: events });
  assert.deepEqual([quiet.stdout, quiet.stderr.split("\n").length], ["", 3]);
  const json = await fz(["wait", "--json", "a", "b"], { wait: events });
  assert.deepEqual(json.stdout.trim().split("\n").map((line) => JSON.parse(line)), withSchema(events));
  assert.equal(json.code, 11);
});

Deno.test("fz wait: a session that ends meanwhile is no success", async () => {
  const { code, stderr } = await fz(["wait", "a"], { wait: [] });
  assert.equal(code, 12);
  assert.match(stderr, /the session ended/);
});

Deno.test("fz ping: prints replies, changes of the path, what is in the way, and statistics", async () => {
  const problem = { code: "timeout", message: "No answer", next: "Try a port." } as const;
  const reply = {
    event: "reply",
    target: "a",
    method: "icmp",
    address: "100.96.0.1",
    gatewayId: "g1",
  } as const;
  const events: ProbeEvent[] = [
    { ...reply, sequence: 1, rttMs: 30, path: { ...PATH, kind: "relayed" } },
    { event: "failure", target: "a", sequence: 2, cause: "no-answer", problem },
    { ...reply, sequence: 3, rttMs: 10, path: PATH },
    { event: "done", target: "a", sent: 3, received: 2 },
  ];
  const { code, stdout } = await fz(["ping", "a"], { ping: events });
  assert.equal(code, 0);
  assert.deepEqual(stdout.split("\n"), [
    "reply from 100.96.0.1 via gateway g1 relayed 30.0 ms",
    "No answer",
    "path is direct now (192.0.2.1:1 to 192.0.2.2:2)",
    "reply from 100.96.0.1 via gateway g1 direct 10.0 ms",
    "a: 3 probes, 2 replies, 33% lost",
    "round trip: 10.0 ms min, 20.0 ms mean, 30.0 ms max",
    "",
  ]);
  assert.equal((await fz(["ping", "--until-direct", "a"], { ping: events })).code, 0);
  assert.equal((await fz(["ping", "--until-direct", "a"], { ping: events.slice(0, 2) })).code, 9);
  assert.equal((await fz(["ping", "a"], { ping: [events[1]!] })).code, 9);
});

Deno.test("fz explain: takes kinds of traffic, and turns down what is none", async () => {
  const explain = {
    schema: 1,
    target: "a",
    kind: "name",
    addresses: [],
    matches: [],
    verdict: "not-tunnelled",
  };
  for (
    const [text, asked] of [
      ["443", { protocol: "tcp", port: 443 }],
      ["53/udp", { protocol: "udp", port: 53 }],
      ["icmp", { protocol: "icmp" }],
    ] as const
  ) {
    const { code, asked: requests } = await fz(["explain", "a", "--port", text], {
      explain: { ...explain, because: "So it is." },
    });
    assert.equal(code, 0);
    assert.deepEqual(requests, [["explain", { target: "a", ...asked }]]);
  }
  for (const text of ["0", "70000", "tcp/443", "443/sctp", ""]) {
    assert.equal((await fz(["explain", "a", "--port", text], {})).code, 2, text);
  }
});

function withSchema(events: readonly ProbeEvent[]) {
  return events.map((event) => ({ schema: 1, ...event }));
}

/** Runs `fz` with a session that gives these answers, by route. */
async function fz(
  args: readonly string[],
  answers: Readonly<Record<string, unknown>>,
  options: FakeOptions = {},
) {
  const asked: [string, unknown][] = [];
  const control = {
    ask: (route: string, request: unknown) => {
      asked.push([route, request]);
      return Promise.resolve(answers[route]);
    },
    async *lines(route: string, request: unknown) {
      asked.push([route, request]);
      for (const line of answers[route] as readonly unknown[]) yield await Promise.resolve(line);
    },
  };
  const context = fakeContext({
    ...options,
    host: { control: () => Promise.resolve(control as unknown as Control) },
  });
  const code = await run(args, context);
  return { code, asked, ...context.written };
}
