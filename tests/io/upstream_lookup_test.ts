import assert from "node:assert/strict";
import { platform } from "../../ffi/mod.ts";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import {
  decodeDnsQuery,
  encodeDnsAnswer,
  encodeDnsQuery,
  RecordType,
  ResponseCode,
} from "../../lib/wire/dns.ts";
import { Loop } from "../../io/loop.ts";
import { markedUdp } from "../../io/marked_udp.ts";
import { UpstreamDns } from "../../io/upstream_dns.ts";
import { upstreamLookup } from "../../io/upstream_lookup.ts";

const host = await platform();

/** A name server on loopback, read by the same loop as the sockets of the exchange. */
async function withServer(
  answer: (name: string, type: number) => readonly IpAddress[] | "silence",
  body: (parts: { loop: Loop; server: SocketAddress }) => Promise<void>,
): Promise<void> {
  const poller = host.createPoller();
  const loop = new Loop({
    machine: {
      handleDatagram: () => undefined,
      handleTimeout() {},
      pollTimeout: () => undefined,
      pollDatagram: () => undefined,
    },
    poller,
    log: silentLog,
  });
  const socket = host.bindUdp({ address: SocketAddress.from("127.0.0.1:0") })!;
  loop.watch(socket, () => {
    while (
      socket.receive((local, remote, payload) => {
        const query = decodeDnsQuery(payload.slice());
        if (!query.ok) return;
        const addresses = answer(query.value.name, query.value.type);
        if (addresses === "silence") return;
        const records = addresses.map((address) => ({
          type: address.family === 4 ? "A" as const : "AAAA" as const,
          ttl: 60,
          data: String(address),
        }));
        const message = encodeDnsAnswer(query.value, ResponseCode.noError, records);
        socket.send({ local, remote, payload: message });
        socket.flush();
      })
    );
  });
  const running = loop.run();
  try {
    await body({ loop, server: socket.local });
  } finally {
    loop.stop();
    await running;
    await poller.close();
    socket.close();
  }
}

Deno.test("markedUdp: brings the answer of the server that was asked, and no other", () =>
  withServer(() => [IpAddress.from("192.0.2.7")], async ({ loop, server }) => {
    const message = encodeDnsQuery(7, "a.test", RecordType.a)!;
    const dns = new UpstreamDns({ sockets: { udp: markedUdp(host, loop, 0xfd00_2021) } });
    const outcome = await dns.ask({ type: "do53", address: server }, "udp", message, 60_000);
    assert.equal(outcome.type, "answer");
    dns.close();
  }));

Deno.test("markedUdp: ends at the time limit when nobody answers", () =>
  withServer(() => "silence", async ({ loop, server }) => {
    const message = encodeDnsQuery(7, "a.test", RecordType.a)!;
    const dns = new UpstreamDns({ sockets: { udp: markedUdp(host, loop, 0xfd00_2021) } });
    assert.deepEqual(await dns.ask({ type: "do53", address: server }, "udp", message, 50), {
      type: "timeout",
    });
    dns.close();
  }));

/** Answers as `answers` has it: server, then type. */
function lookupWith(answers: Record<string, Partial<Record<number, readonly string[]>>>) {
  const asked: string[] = [];
  const lookup = upstreamLookup({
    resolvers: () => Object.keys(answers).map((ip) => new SocketAddress(IpAddress.from(ip), 53)),
    fallback: (name) => {
      asked.push(`fallback ${name}`);
      return Promise.resolve([]);
    },
    dns: {
      ask(server, _transport, message) {
        const query = decodeDnsQuery(message);
        assert.ok(query.ok && server.type === "do53");
        const { type } = query.value;
        asked.push(`${server.address} ${type}`);
        const found = answers[String(server.address.ip)]?.[type];
        if (found === undefined) return Promise.resolve({ type: "timeout" });
        const records = found.map((text) => ({
          type: type === RecordType.a ? "A" as const : "AAAA" as const,
          ttl: 1,
          data: text,
        }));
        const answer = encodeDnsAnswer(query.value, ResponseCode.noError, records);
        return Promise.resolve({ type: "answer", message: answer });
      },
    },
  });
  return { lookup, asked };
}

Deno.test("upstreamLookup: asks all resolvers for both families and takes the first that knows", async () => {
  const { lookup, asked } = lookupWith({
    "192.0.2.1": {},
    "192.0.2.2": { [RecordType.a]: ["203.0.113.5"], [RecordType.aaaa]: ["2001:db8::5"] },
  });
  assert.deepEqual((await lookup("portal.test")).map(String), ["203.0.113.5", "2001:db8::5"]);
  assert.equal(asked.length, 4);
});

Deno.test("upstreamLookup: asks nobody for literals, and the system when there are no resolvers", async () => {
  const { lookup, asked } = lookupWith({});
  assert.deepEqual((await lookup("[2001:db8::1]")).map(String), ["2001:db8::1"]);
  assert.deepEqual(await lookup("portal.test"), []);
  assert.deepEqual(asked, ["fallback portal.test"]);
});
