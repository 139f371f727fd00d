/** What servers, files and portals may hand to the shell to harm it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { reportGatewayEvent } from "../../io/gateway_events.ts";
import { hostsFileLookup } from "../../io/host_lookup.ts";
import { UpstreamDns, type UpstreamSockets } from "../../io/upstream_dns.ts";
import { upstreamLookup } from "../../io/upstream_lookup.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { frameMessage } from "../../lib/dns/tcp_server.ts";
import { decodeDnsQuery, encodeDnsAnswer, encodeDnsQuery, isAnswerTo } from "../../lib/wire/dns.ts";
import { decodeGatewayInbound } from "../../lib/wire/portal/gateway.ts";

const QUERY = encodeDnsQuery(0x1234, "a.example", 1)!;
const DECODED = decodeDnsQuery(QUERY);
assert.ok(DECODED.ok);
const { value: ASKED } = DECODED;
const ANSWER = encodeDnsAnswer(ASKED, 0, [{ type: "A", ttl: 60, data: "192.0.2.1" }]);
const DO53 = { type: "do53", address: SocketAddress.from("192.0.2.53:53") } as const;

/** Answers that were tampered with, and any bytes. */
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.array(fc.tuple(fc.nat(ANSWER.length - 1), fc.nat(255)), { maxLength: 3 }).map((changes) => {
    const bytes = ANSWER.slice();
    for (const [offset, value] of changes) bytes[offset] = value;
    return bytes;
  }),
);

Deno.test("UpstreamDns gives nothing but answers to the question, whatever comes over UDP, TCP or HTTPS", () => {
  const contentType = fc.oneof(
    fc.string(),
    fc.constantFrom("application/dns-message", "text/html", undefined),
  );
  const status = fc.constantFrom(200, 200, 200, 204, 302, 404, 500, 0);
  return fc.assert(
    fc.asyncProperty(
      fc.array(hostile, { maxLength: 4 }),
      contentType,
      status,
      async (bodies, contentType, status) => {
        const sockets: UpstreamSockets = {
          udp: {
            exchange: (_payload, _remote, accept) => {
              const taken = bodies.find((body) => accept(body));
              return taken === undefined ? Promise.reject(new Error("silence")) : Promise.resolve(taken);
            },
          },
          connectTcp: () => Promise.resolve(streamOf(bodies)),
          httpGet: () => Promise.resolve({ status, contentType, body: bodies[0] ?? new Uint8Array(0) }),
        };
        const upstream = new UpstreamDns({ sockets });
        for (
          const [server, transport] of [
            [DO53, "udp"],
            [DO53, "tcp"],
            [{ type: "doh", url: "https://dns.example/dns-query" }, "udp"],
          ] as const
        ) {
          const outcome = await upstream.ask(server, transport, QUERY, 1000);
          if (outcome.type === "answer") assert.ok(isAnswerTo(outcome.message, 0x1234, ASKED));
        }
        assert.equal(upstream.inFlight, 0);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("UpstreamDns fails on a URL that is none", async () => {
  for (const url of ["", "https://", "::", "https://[", "file:///etc/passwd"]) {
    const outcome = await new UpstreamDns().ask({ type: "doh", url }, "udp", QUERY, 100);
    assert.notEqual(outcome.type, "answer", url);
  }
});

Deno.test("upstreamLookup takes any answer of a resolver", () => {
  return fc.assert(
    fc.asyncProperty(hostile, async (message) => {
      const lookup = upstreamLookup({
        dns: { ask: () => Promise.resolve({ type: "answer", message }) },
        resolvers: () => [SocketAddress.from("192.0.2.53:53")],
        fallback: () => Promise.resolve([]),
      });
      for (const address of await lookup("a.example")) {
        assert.ok(address.bytes.length === 4 || address.bytes.length === 16);
      }
    }),
    { numRuns: 100 },
  );
});

Deno.test("hostsFileLookup takes any file", async () => {
  const path = await Deno.makeTempFile({ prefix: "fz-test-" });
  try {
    const word = fc.constantFrom(
      "192.0.2.1",
      "::1",
      "a",
      "#",
      "999.1.1.1",
      "\t",
      "\u0000",
      "fe80::1%eth0",
      "\r",
      "\n",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(word), async (words) => {
        await Deno.writeTextFile(path, words.join(" "));
        await hostsFileLookup("a", path);
      }),
      { numRuns: 50 },
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("reportGatewayEvent can tell every time that a portal may set", () => {
  const key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
  const time = fc.oneof(fc.double(), fc.constantFrom(8.64e12, 8.64e12 + 1, 1e300, -1, 0, 0.5, NaN, Infinity));
  fc.assert(fc.property(time, (expires_at) => {
    const decoded = decodeGatewayInbound("create_authorization", {
      ref: "r",
      expires_at,
      client: { id: "c", public_key: key, preshared_key: key, ipv4: "100.64.0.1", ipv6: "fd00::1" },
      resource: { type: "internet", id: "i" },
      client_ice_credentials: { username: "a", password: "b" },
      gateway_ice_credentials: { username: "c", password: "d" },
    });
    if (!decoded.ok || decoded.value.event !== "create_authorization") return;
    reportGatewayEvent(
      {
        type: "client-authorized",
        clientId: "c",
        resourceId: "i",
        resourceType: "internet",
        expiresAtMs: decoded.value.payload.expires_at! * 1000,
      },
      silentLog,
      () => {},
    );
  }));
});

function streamOf(messages: readonly Uint8Array[]) {
  const pieces = messages.map((message, index) => index % 2 === 0 ? frameMessage(message) : message);
  return {
    read: (buffer: Uint8Array) => {
      const piece = pieces.shift();
      if (piece !== undefined) buffer.set(piece.subarray(0, buffer.length));
      return Promise.resolve(piece === undefined ? null : Math.min(piece.length, buffer.length));
    },
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    close() {},
  };
}
