import assert from "node:assert/strict";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { judgeNetwork, type NetcheckFacts, type RelayFacts } from "../../../lib/control/netcheck.ts";

const PORTAL: NetcheckFacts["portal"] = {
  url: "wss://portal.example/",
  lookupMs: 1,
  families: [4],
  connectMs: 2,
  tlsMs: 3,
  answerMs: 4,
  clockSkewMs: 100,
  failure: undefined,
};

function relay(address: string, mapped: string | undefined, isLocal = false): RelayFacts {
  return {
    relay: SocketAddress.from(address),
    localPort: 5000,
    rttMs: mapped === undefined ? undefined : 10,
    mapped: mapped === undefined ? undefined : SocketAddress.from(mapped),
    isLocal,
  };
}

function judge(relays: readonly RelayFacts[], portal: Partial<NetcheckFacts["portal"]> = {}) {
  const facts = {
    portal: { ...PORTAL, ...portal },
    relays,
    relaySource: "session",
    relayFailure: undefined,
  } as const;
  return judgeNetwork(facts);
}

Deno.test("judgeNetwork: tells the NAT from what two relays see", () => {
  const [a, b] = ["192.0.2.1:3478", "192.0.2.2:3478"];
  const table: [relays: RelayFacts[], nat: string][] = [
    [[relay(a!, "198.51.100.9:5000"), relay(b!, "198.51.100.9:5000")], "endpoint-independent"],
    [[relay(a!, "198.51.100.9:7001"), relay(b!, "198.51.100.9:7001")], "endpoint-independent"],
    [[relay(a!, "198.51.100.9:7001"), relay(b!, "198.51.100.9:7002")], "symmetric"],
    [[relay(a!, "198.51.100.9:7001"), relay(b!, "198.51.100.8:7001")], "symmetric"],
    [[relay(a!, "192.0.2.77:5000", true)], "none"],
    [[relay(a!, "192.0.2.77:5000", true), relay(b!, "192.0.2.77:5000", true)], "none"],
    [[relay(a!, "198.51.100.9:5000"), relay(b!, undefined)], "unknown"],
    [[relay(a!, undefined)], "unknown"],
  ];
  for (const [relays, nat] of table) assert.equal(judge(relays).families[0]!.nat, nat);
});

Deno.test("judgeNetwork: judges each family by itself, and a missing one is no fault", () => {
  const both = judge([
    relay("192.0.2.1:3478", "198.51.100.9:5000"),
    relay("192.0.2.2:3478", "198.51.100.9:5001"),
    relay("[2001:db8::1]:3478", "[2001:db8::9]:5000", true),
    relay("[2001:db8::2]:3478", "[2001:db8::9]:5000", true),
  ]);
  assert.deepEqual(both.families.map(({ nat }) => nat), ["symmetric", "none"]);
  assert.match(both.verdict, /there is no NAT/);
  const only4 = judge([relay("192.0.2.1:3478", "198.51.100.9:5000"), relay("[2001:db8::1]:3478", undefined)]);
  assert.deepEqual([only4.udp, only4.problem], ["works", undefined]);
  const partly = judge([relay("192.0.2.1:3478", "198.51.100.9:5000"), relay("192.0.2.2:3478", undefined)]);
  assert.deepEqual([partly.udp, partly.problem], ["partly", undefined]);
});

Deno.test("judgeNetwork: names what keeps connections from being made", () => {
  const blocked = judge([relay("192.0.2.1:3478", undefined)]);
  assert.deepEqual([blocked.udp, blocked.problem], ["blocked", "unreachable"]);
  assert.match(blocked.verdict, /UDP is blocked/);
  const away = judge([relay("192.0.2.1:3478", "198.51.100.9:5000")], { failure: "connection refused" });
  assert.equal(away.problem, "unreachable");
  assert.match(away.verdict, /portal cannot be reached: connection refused/);
  const late = judge([relay("192.0.2.1:3478", "198.51.100.9:5000")], { clockSkewMs: -3_600_000 });
  assert.equal(late.problem, undefined);
  assert.match(late.verdict, /clock/);
  assert.match(judge([]).verdict, /unknown/);
});
