import assert from "node:assert/strict";
import { run } from "../../cli/mod.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import type { NetcheckFacts } from "../../lib/control/netcheck.ts";
import { fakeContext } from "./fake_context.ts";

const FACTS: NetcheckFacts = {
  portal: {
    url: "wss://portal.example/",
    lookupMs: 3,
    families: [4],
    connectMs: 12.4,
    tlsMs: 30,
    answerMs: 20,
    clockSkewMs: 400,
    failure: undefined,
  },
  relays: ["192.0.2.1:3478", "192.0.2.2:3478"].map((relay, index) => ({
    relay: SocketAddress.from(relay),
    localPort: 5000,
    rttMs: 8.2,
    mapped: SocketAddress.from(`198.51.100.9:${7000 + index}`),
    isLocal: false,
  })),
  relaySource: "session",
  relayFailure: undefined,
};

const host = (facts: NetcheckFacts) => ({ netcheck: () => Promise.resolve(facts) });

Deno.test("fz netcheck: says first what it means, then what was measured", async () => {
  const context = fakeContext({ host: host(FACTS) });
  assert.equal(await run(["netcheck"], context), 0);
  assert.equal(
    context.written.stdout,
    `Verdict  UDP works: the NAT is symmetric, so connections are relayed unless the other side is open.
Portal   wss://portal.example/: name 3.0 ms, TCP 12 ms, TLS 30 ms, answer 20 ms
Clock    right
IPv4     2 of 2 relays answer; NAT: symmetric, another port for each
IPv6     no relay has such an address

RELAY              RTT  SEES US AS
192.0.2.1:3478  8.2 ms  198.51.100.9:7000
192.0.2.2:3478  8.2 ms  198.51.100.9:7001
`,
  );
});

Deno.test("fz netcheck --json: prints one document", async () => {
  const context = fakeContext({ host: host(FACTS) });
  assert.equal(await run(["netcheck", "--json"], context), 0);
  const { schema, ok, udp, families, relays } = JSON.parse(context.written.stdout);
  assert.deepEqual([schema, ok, udp, families[0].nat], [1, true, "works", "symmetric"]);
  assert.deepEqual(relays[0], {
    address: "192.0.2.1:3478",
    family: 4,
    rttMs: 8.2,
    mapped: "198.51.100.9:7000",
    localPort: 5000,
    isLocal: false,
  });
});

Deno.test("fz netcheck: exits 5 when nothing can be connected, and tells why relays are unknown", async () => {
  const portal = { ...FACTS.portal, failure: "connection refused" };
  const facts = { ...FACTS, portal, relays: [], relayFailure: "no session runs" };
  const context = fakeContext({ host: host(facts) });
  assert.equal(await run(["netcheck"], context), 5);
  assert.match(context.written.stdout, /^Verdict {2}The portal cannot be reached: connection refused\.$/m);
  assert.match(context.written.stdout, /^Relays {3}no session runs$/m);
});
