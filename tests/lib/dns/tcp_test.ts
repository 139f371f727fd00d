import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { TcpEndpoint, type TcpEvent } from "../../../lib/dns/tcp_endpoint.ts";
import { DnsTcpServer, frameMessage, MessageReader } from "../../../lib/dns/tcp_server.ts";
import { TunnelDnsClient } from "../../../lib/dns/tunnel_client.ts";
import { decodeDnsQuery, type DnsQuery, encodeDnsAnswer, encodeDnsQuery } from "../../../lib/wire/dns.ts";
import { parsePacket } from "../../../lib/wire/ip.ts";
import {
  buildTcp,
  TcpFlag,
  tcpFlags,
  tcpMaximumSegmentSize,
  tcpPayload,
  tcpSequence,
} from "../../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../../lib/wire/udp.ts";

const SENTINEL = SocketAddress.from("100.100.111.1:53");
const CLIENT = IpAddress.from("100.64.0.1");

Deno.test("TcpEndpoint carries bytes both ways and closes in order", () => {
  const link = new Link(1);
  link.server.listen([SENTINEL]);
  const id = link.client.connect(CLIENT, SENTINEL, 0)!;
  link.run();
  assert.equal(link.serverEvents[0]?.type, "connected");
  const serverId = link.serverEvents[0]!.id;
  assert.ok(link.client.send(id, Uint8Array.of(1, 2, 3), link.now));
  assert.ok(link.server.send(serverId, Uint8Array.of(4, 5), link.now));
  link.run();
  assert.deepEqual(dataOf(link.serverEvents), [1, 2, 3]);
  assert.deepEqual(dataOf(link.clientEvents), [4, 5]);
  link.client.close(id, link.now);
  link.run();
  assert.ok(link.serverEvents.some((event) => event.type === "remote-finished"));
  link.server.close(serverId, link.now);
  link.run();
  assert.deepEqual(link.clientEvents.at(-1), { type: "closed", id, reason: "finished" });
  assert.deepEqual(link.serverEvents.at(-1), { type: "closed", id: serverId, reason: "finished" });
  assert.equal(link.server.pollTimeout(), undefined);
});

Deno.test("TcpEndpoint delivers everything in order over a link that loses and repeats packets", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.uint8Array({ minLength: 1, maxLength: 60_000, size: "max" }),
      (seed, bytes) => {
        const link = new Link(seed, 0.2);
        link.server.listen([SENTINEL]);
        const id = link.client.connect(CLIENT, SENTINEL, 0)!;
        link.client.send(id, Uint8Array.of(7), 0);
        link.run();
        const serverId = link.serverEvents.find((event) => event.type === "connected")?.id;
        if (serverId === undefined) return;
        link.server.send(serverId, bytes, link.now);
        link.run();
        const received = dataOf(link.clientEvents);
        const closed = link.clientEvents.some((event) => event.type === "closed");
        if (closed) assert.deepEqual(received, Array.from(bytes).slice(0, received.length));
        else assert.deepEqual(received, Array.from(bytes));
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("TcpEndpoint announces a segment size that fits the tunnel", () => {
  const endpoint = new TcpEndpoint({ rng: seededRng(1) });
  endpoint.connect(CLIENT, SENTINEL, 0);
  const syn = parsePacket(endpoint.pollPacket()!);
  assert.ok(syn.ok);
  assert.equal(tcpMaximumSegmentSize(syn.value), 1240);
  endpoint.connect(
    IpAddress.from("fd00:2021:1111::1"),
    SocketAddress.from("[fd00:2021:1111:8000:100:100:111:0]:53"),
    0,
  );
  const syn6 = parsePacket(endpoint.pollPacket()!);
  assert.ok(syn6.ok);
  assert.equal(tcpMaximumSegmentSize(syn6.value), 1220);
});

Deno.test("TcpEndpoint refuses segments of no connection with a reset and leaves other addresses alone", () => {
  const endpoint = new TcpEndpoint({ rng: seededRng(1) });
  endpoint.listen([SENTINEL]);
  assert.equal(endpoint.handlePacket(segment(TcpFlag.ack, { sequence: 5, acknowledgment: 9 }), 0), true);
  const reset = parsePacket(endpoint.pollPacket()!);
  assert.ok(reset.ok);
  assert.equal(tcpFlags(reset.value), TcpFlag.rst);
  assert.equal(endpoint.handlePacket(segment(TcpFlag.syn, { to: "100.100.111.2:53" }), 0), false);
  assert.equal(endpoint.pollPacket(), undefined);
});

Deno.test("TcpEndpoint takes ten connections a listener; the idlest gives way only after a while", () => {
  const endpoint = new TcpEndpoint({ rng: seededRng(1) });
  endpoint.listen([SENTINEL]);
  for (let port = 1; port <= 11; port++) endpoint.handlePacket(segment(TcpFlag.syn, { port }), 0);
  assert.equal(drain(endpoint), 10);
  endpoint.handlePacket(segment(TcpFlag.syn, { port: 12 }), 5000);
  assert.equal(drain(endpoint), 2);
});

Deno.test("TcpEndpoint gives up on a peer that never answers, after a bounded number of packets", () => {
  const endpoint = new TcpEndpoint({ rng: seededRng(1) });
  endpoint.connect(CLIENT, SENTINEL, 0);
  let sent = drain(endpoint);
  for (let wake = endpoint.pollTimeout(); wake !== undefined; wake = endpoint.pollTimeout()) {
    endpoint.handleTimeout(wake.at);
    sent += drain(endpoint);
    assert.ok(wake.at < 60_000);
  }
  assert.equal(sent, 6);
  assert.deepEqual(endpoint.pollEvent(), { type: "closed", id: 1, reason: "timeout" });
});

Deno.test("TcpEndpoint survives arbitrary segments", () => {
  const anySegment = fc.record({
    flags: fc.nat(255),
    sequence: fc.oneof(fc.nat(0xffffffff), fc.constant(0)),
    acknowledgment: fc.nat(0xffffffff),
    port: fc.nat(3),
    payload: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(fc.property(fc.array(anySegment, { maxLength: 40 }), (segments) => {
    const endpoint = new TcpEndpoint({ rng: seededRng(3) });
    endpoint.listen([SENTINEL]);
    segments.forEach((each, index) => {
      endpoint.handlePacket(segment(each.flags, each), index * 100);
      endpoint.handleTimeout(index * 100);
      assert.ok(drain(endpoint) < 40);
    });
  }));
});

Deno.test("DnsTcpServer answers pipelined queries of a half-closed connection, then closes it", () => {
  const server = new DnsTcpServer({ rng: seededRng(1) });
  server.listen([SENTINEL]);
  const client = new TcpEndpoint({ rng: seededRng(2) });
  const id = client.connect(CLIENT, SENTINEL, 0)!;
  const exchange = () => {
    for (let moved = true; moved;) {
      moved = false;
      for (let bytes = client.pollPacket(); bytes !== undefined; bytes = client.pollPacket()) {
        server.handlePacket(parsed(bytes), 0);
        moved = true;
      }
      for (let bytes = server.pollPacket(); bytes !== undefined; bytes = server.pollPacket()) {
        client.handlePacket(parsed(bytes), 0);
        moved = true;
      }
    }
  };
  client.send(id, frameMessage(Uint8Array.of(1)), 0);
  client.send(id, frameMessage(Uint8Array.of(2)), 0);
  client.close(id, 0);
  exchange();
  const queries = [server.pollQuery()!, server.pollQuery()!];
  assert.deepEqual(queries.map(({ message }) => message[0]), [1, 2]);
  assert.ok(queries[0]!.local.equals(SENTINEL));
  server.answer(queries[1]!.connectionId, Uint8Array.of(22), 0);
  server.answer(queries[0]!.connectionId, Uint8Array.of(11), 0);
  exchange();
  const events: TcpEvent[] = [];
  for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent()) events.push(event);
  assert.deepEqual(new MessageReader().push(Uint8Array.from(dataOf(events))).map(([first]) => first), [
    22,
    11,
  ]);
  assert.deepEqual(events.at(-1), { type: "closed", id, reason: "finished" });
  assert.equal(server.pollTimeout(), undefined);
});

Deno.test("TcpEndpoint loses packets rather than queue without end for an owner that does not drain", () => {
  const endpoint = new TcpEndpoint({ rng: seededRng(1) });
  endpoint.listen([SENTINEL]);
  for (let count = 0; count < 10_000; count++) assert.ok(endpoint.handlePacket(segment(TcpFlag.ack), 0));
  assert.equal(drain(endpoint), 4096);
});

Deno.test("MessageReader cuts any stream into the messages that were framed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 })),
      fc.integer({ min: 1, max: 7 }),
      (messages, step) => {
        const stream = messages.flatMap((message) => [...frameMessage(message)]);
        const reader = new MessageReader();
        const read: Uint8Array[] = [];
        for (let offset = 0; offset < stream.length; offset += step) {
          read.push(...reader.push(Uint8Array.from(stream.slice(offset, offset + step))));
        }
        assert.deepEqual(read, messages);
      },
    ),
  );
});

Deno.test("TunnelDnsClient asks over UDP and takes only the right server's answer", () => {
  const client = new TunnelDnsClient({ rng: seededRng(1) });
  const server = SocketAddress.from("100.64.0.9:53535");
  const query = queryFor("a.example", 7);
  const id = client.ask(query, "udp", server, CLIENT, 0)!;
  const packet = parsed(client.pollPacket()!);
  const asked = decodeDnsQuery(udpPayload(packet)!);
  assert.ok(asked.ok && asked.value.name === "a.example");
  const reply = (from: string, message: Uint8Array) =>
    parsed(buildUdp({
      source: SocketAddress.from(from).ip,
      sourcePort: SocketAddress.from(from).port,
      destination: CLIENT,
      destinationPort: packet.sourcePort,
      payload: message,
    }));
  const answer = encodeDnsAnswer(asked.value, 0);
  assert.equal(client.handlePacket(reply("100.64.0.8:53535", answer), 1), false);
  assert.equal(
    client.handlePacket(
      reply("100.64.0.9:53535", encodeDnsAnswer({ ...asked.value, id: asked.value.id ^ 1 }, 0)),
      1,
    ),
    true,
  );
  assert.equal(client.pollAnswer(), undefined);
  assert.equal(client.handlePacket(reply("100.64.0.9:53535", answer), 1), true);
  assert.deepEqual(client.pollAnswer(), { id, message: encodeDnsAnswer(query, 0) });
  assert.equal(client.pollTimeout(), undefined);
});

Deno.test("TunnelDnsClient fails a query after ten seconds", () => {
  const client = new TunnelDnsClient({ rng: seededRng(1) });
  const id = client.ask(queryFor("a.example", 7), "udp", SENTINEL, CLIENT, 100)!;
  assert.equal(client.pollTimeout()?.at, 10_100);
  client.handleTimeout(10_099);
  assert.equal(client.pollAnswer(), undefined);
  client.handleTimeout(10_100);
  assert.deepEqual(client.pollAnswer(), { id, message: undefined });
});

Deno.test("TunnelDnsClient pipelines queries of equal ids over one TCP connection", () => {
  const server = new DnsTcpServer({ rng: seededRng(1) });
  server.listen([SENTINEL]);
  const client = new TunnelDnsClient({ rng: seededRng(2) });
  const queries = ["a.example", "b.example", "c.example"].map((name) => queryFor(name, 7));
  const ids = queries.map((query) => client.ask(query, "tcp", SENTINEL, CLIENT, 0)!);
  let syns = 0;
  for (let moved = true; moved;) {
    moved = false;
    for (let bytes = client.pollPacket(); bytes !== undefined; bytes = client.pollPacket()) {
      const packet = parsed(bytes);
      if ((tcpFlags(packet) & TcpFlag.syn) !== 0) syns++;
      server.handlePacket(packet, 0);
      moved = true;
    }
    for (let query = server.pollQuery(); query !== undefined; query = server.pollQuery()) {
      const decoded = decodeDnsQuery(query.message);
      assert.ok(decoded.ok);
      server.answer(query.connectionId, encodeDnsAnswer(decoded.value, 0), 0);
    }
    for (let bytes = server.pollPacket(); bytes !== undefined; bytes = server.pollPacket()) {
      client.handlePacket(parsed(bytes), 0);
      moved = true;
    }
  }
  assert.equal(syns, 1);
  for (const [index, query] of queries.entries()) {
    assert.deepEqual(client.pollAnswer(), { id: ids[index], message: encodeDnsAnswer(query, 0) });
  }
});

Deno.test("TunnelDnsClient forgets queries that a server takes but never answers", () => {
  const client = new TunnelDnsClient({ rng: seededRng(2) });
  const query = queryFor("a.example", 7);
  let now = 0;
  client.ask(query, "tcp", SENTINEL, CLIENT, now);
  const syn = parsed(client.pollPacket()!);
  const acknowledge = (acknowledgment: number, flags: number) =>
    client.handlePacket(
      parsed(buildTcp({
        source: SENTINEL.ip,
        destination: CLIENT,
        sourcePort: SENTINEL.port,
        destinationPort: syn.sourcePort,
        sequence: (flags & TcpFlag.syn) === 0 ? 1 : 0,
        acknowledgment,
        flags: flags | TcpFlag.ack,
        window: 65_535,
      })),
      now,
    );
  acknowledge(tcpSequence(syn) + 1, TcpFlag.syn);
  // More queries than there are ids; each thousand fails before the next one.
  let asked = 0;
  while (asked < 66_000) {
    for (let count = 0; count < 500; count++) {
      assert.notEqual(client.ask(query, "tcp", SENTINEL, CLIENT, now), undefined);
      asked++;
    }
    let last: Uint8Array | undefined;
    for (let next = client.pollPacket(); next !== undefined; next = client.pollPacket()) last = next;
    const packet = parsed(last!);
    acknowledge(tcpSequence(packet) + tcpPayload(packet).length, 0);
    now += 10_000;
    client.handleTimeout(now);
    while (client.pollAnswer() !== undefined);
  }
});

Deno.test("TunnelDnsClient.reset fails what is open", () => {
  const client = new TunnelDnsClient({ rng: seededRng(2) });
  client.ask(queryFor("a.example", 1), "tcp", SENTINEL, CLIENT, 0);
  client.ask(queryFor("b.example", 1), "udp", SENTINEL, CLIENT, 0);
  client.reset();
  assert.deepEqual([client.pollAnswer()?.message, client.pollAnswer()?.message], [undefined, undefined]);
  assert.equal(client.pollPacket(), undefined);
  assert.equal(client.pollTimeout(), undefined);
});

/** A client and a server with a wire between them that may lose packets. */
class Link {
  readonly client: TcpEndpoint;
  readonly server: TcpEndpoint;
  readonly clientEvents: TcpEvent[] = [];
  readonly serverEvents: TcpEvent[] = [];
  now = 0;
  readonly #loss: number;
  readonly #rng;

  constructor(seed: number, loss = 0) {
    this.#rng = seededRng(seed);
    this.#loss = loss;
    this.client = new TcpEndpoint({ rng: this.#rng });
    this.server = new TcpEndpoint({ rng: this.#rng });
  }

  /** Runs until both sides are quiet for the next 25 seconds; idle connections stay. */
  run(): void {
    for (let round = 0; round < 2000; round++) {
      const moved = this.#move(this.client, this.server) + this.#move(this.server, this.client);
      this.#take(this.client, this.clientEvents);
      this.#take(this.server, this.serverEvents);
      if (moved > 0) continue;
      const wakes = [this.client.pollTimeout(), this.server.pollTimeout()].filter((wake) =>
        wake !== undefined
      );
      const next = wakes.filter((wake) =>
        wake.reason === "tcp retransmission"
      ).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) return;
      this.now = Math.max(this.now, next.at);
      this.client.handleTimeout(this.now);
      this.server.handleTimeout(this.now);
    }
    assert.fail("the link never came to rest");
  }

  #move(from: TcpEndpoint, to: TcpEndpoint): number {
    let count = 0;
    for (let bytes = from.pollPacket(); bytes !== undefined; bytes = from.pollPacket()) {
      count++;
      if (this.#rng.u32() / 2 ** 32 < this.#loss) continue;
      to.handlePacket(parsed(bytes), this.now);
      if (this.#rng.u32() / 2 ** 32 < this.#loss / 2) to.handlePacket(parsed(bytes), this.now);
    }
    return count;
  }

  #take(endpoint: TcpEndpoint, events: TcpEvent[]): void {
    for (let event = endpoint.pollEvent(); event !== undefined; event = endpoint.pollEvent()) {
      events.push(event);
    }
  }
}

function dataOf(events: readonly TcpEvent[]): number[] {
  return events.flatMap((event) => event.type === "data" ? [...event.bytes] : []);
}

function drain(endpoint: TcpEndpoint): number {
  let count = 0;
  while (endpoint.pollPacket() !== undefined) count++;
  return count;
}

function parsed(bytes: Uint8Array) {
  const packet = parsePacket(bytes);
  assert.ok(packet.ok);
  return packet.value;
}

function segment(
  flags: number,
  options: { sequence?: number; acknowledgment?: number; port?: number; to?: string; payload?: Uint8Array } =
    {},
) {
  const to = SocketAddress.from(options.to ?? SENTINEL.toString());
  return parsed(buildTcp({
    source: CLIENT,
    destination: to.ip,
    sourcePort: options.port ?? 4000,
    destinationPort: to.port,
    sequence: options.sequence ?? 100,
    acknowledgment: options.acknowledgment ?? 0,
    flags,
    window: 1000,
    ...(options.payload === undefined ? {} : { payload: options.payload }),
  }));
}

function queryFor(name: string, id: number): DnsQuery {
  const decoded = decodeDnsQuery(encodeDnsQuery(id, name, 1)!);
  assert.ok(decoded.ok);
  return decoded.value;
}
