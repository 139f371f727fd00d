import assert from "node:assert/strict";
import dgram from "node:dgram";
import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { frameMessage, MessageReader } from "../../lib/dns/tcp_server.ts";
import { decodeDnsQuery, encodeDnsAnswer, encodeDnsQuery } from "../../lib/wire/dns.ts";
import { answerAddresses } from "../../lib/wire/dns_text.ts";
import { UpstreamDns } from "../../io/upstream_dns.ts";

const QUERY = encodeDnsQuery(0x1234, "a.example", 1)!;

Deno.test("UpstreamDns asks over UDP and ignores answers to other questions", async () => {
  await using server = await UdpServer.start((message, reply) => {
    reply(answerTo(message, "192.0.2.66", 1));
    reply(Uint8Array.of(1, 2, 3));
    reply(answerTo(message, "192.0.2.1"));
  });
  const outcome = await new UpstreamDns().ask({ type: "do53", address: server.address }, "udp", QUERY);
  assert.ok(outcome.type === "answer");
  assert.deepEqual(answerAddresses(outcome.message).map(String), ["192.0.2.1"]);
});

Deno.test("UpstreamDns over UDP times out with a silent server and leaves nothing open", async () => {
  await using server = await UdpServer.start(() => {});
  const upstream = new UpstreamDns();
  const asked = upstream.ask({ type: "do53", address: server.address }, "udp", QUERY, 50);
  assert.equal(upstream.inFlight, 1);
  assert.deepEqual(await asked, { type: "timeout" });
  assert.equal(upstream.inFlight, 0);
});

Deno.test("UpstreamDns asks over TCP, whatever pieces the answer comes in", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const connection = await listener.accept();
    const reader = new MessageReader();
    const buffer = new Uint8Array(100);
    const count = await connection.read(buffer);
    const [message] = reader.push(buffer.subarray(0, count!));
    const framed = frameMessage(answerTo(message!, "192.0.2.2"));
    await connection.write(framed.subarray(0, 5));
    await new Promise((resolve) => setTimeout(resolve, 10));
    await connection.write(framed.subarray(5));
    connection.close();
  })();
  const address = SocketAddress.from(`127.0.0.1:${listener.addr.port}`);
  const outcome = await new UpstreamDns().ask({ type: "do53", address }, "tcp", QUERY);
  await serving;
  listener.close();
  assert.ok(outcome.type === "answer");
  assert.deepEqual(answerAddresses(outcome.message).map(String), ["192.0.2.2"]);
});

Deno.test("UpstreamDns over TCP fails when nobody listens and times out when nobody answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = SocketAddress.from(`127.0.0.1:${listener.addr.port}`);
  const accepting = listener.accept();
  const upstream = new UpstreamDns();
  assert.deepEqual(await upstream.ask({ type: "do53", address }, "tcp", QUERY, 50), { type: "timeout" });
  (await accepting).close();
  listener.close();
  assert.equal((await upstream.ask({ type: "do53", address }, "tcp", QUERY)).type, "failed");
});

Deno.test("UpstreamDns asks over HTTPS with id 0 and base64url, and finds the host by its own lookup", async () => {
  const seen: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const url = new URL(request.url);
    seen.push(`${url.hostname} ${request.headers.get("accept")} ${url.pathname}`);
    const message = Uint8Array.fromBase64(url.searchParams.get("dns")!, { alphabet: "base64url" });
    assert.deepEqual([message[0], message[1]], [0, 0]);
    const body = answerTo(message, "192.0.2.3") as Uint8Array<ArrayBuffer>;
    return new Response(body, { headers: { "content-type": "application/dns-message" } });
  });
  const upstream = new UpstreamDns({ lookup: () => Promise.resolve([IpAddress.from("127.0.0.1")]) });
  const url = `http://doh.example:${server.addr.port}/dns-query`;
  const outcome = await upstream.ask({ type: "doh", url }, "udp", QUERY);
  await server.shutdown();
  assert.ok(outcome.type === "answer", JSON.stringify(outcome));
  assert.equal(outcome.message[0]! << 8 | outcome.message[1]!, 0x1234);
  assert.deepEqual(answerAddresses(outcome.message).map(String), ["192.0.2.3"]);
  assert.deepEqual(seen, ["doh.example application/dns-message /dns-query"]);
});

Deno.test("UpstreamDns over HTTPS fails on other status, other content and long bodies", async () => {
  const answers = [
    () => new Response("no", { status: 503 }),
    () => new Response("<html>"),
    () => new Response(new Uint8Array(70_000), { headers: { "content-type": "application/dns-message" } }),
    () => new Response(new Uint8Array(20), { headers: { "content-type": "application/dns-message" } }),
  ];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => answers.shift()!());
  const upstream = new UpstreamDns();
  while (answers.length > 0) {
    const outcome = await upstream.ask(
      { type: "doh", url: `http://127.0.0.1:${server.addr.port}/dns-query` },
      "udp",
      QUERY,
    );
    assert.equal(outcome.type, "failed");
  }
  await server.shutdown();
});

Deno.test("UpstreamDns over HTTPS times out in the middle of an answer", async () => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
    const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(20)) });
    return new Response(body, { headers: { "content-type": "application/dns-message" } });
  });
  const url = `http://127.0.0.1:${server.addr.port}/dns-query`;
  assert.deepEqual(await new UpstreamDns().ask({ type: "doh", url }, "udp", QUERY, 50), { type: "timeout" });
  await server.shutdown();
});

Deno.test("UpstreamDns refuses more queries than it may have in flight, and nonsense", async () => {
  await using server = await UdpServer.start(() => {});
  const upstream = new UpstreamDns({ maxInFlight: 1 });
  const first = upstream.ask({ type: "do53", address: server.address }, "udp", QUERY);
  assert.equal((await upstream.ask({ type: "do53", address: server.address }, "udp", QUERY)).type, "failed");
  upstream.close();
  assert.equal((await first).type, "failed");
  assert.equal((await upstream.ask({ type: "do53", address: server.address }, "udp", QUERY)).type, "failed");
  assert.equal(
    (await new UpstreamDns().ask({ type: "do53", address: server.address }, "udp", new Uint8Array(3))).type,
    "failed",
  );
});

function answerTo(message: Uint8Array, address: string, idOffset = 0): Uint8Array {
  const query = decodeDnsQuery(message);
  assert.ok(query.ok);
  return encodeDnsAnswer({ ...query.value, id: (query.value.id + idOffset) & 0xffff }, 0, [
    { type: "A", ttl: 60, data: address },
  ]);
}

class UdpServer implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #socket: dgram.Socket;

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    this.address = SocketAddress.from(`127.0.0.1:${socket.address().port}`);
  }

  static start(serve: (message: Uint8Array, reply: (bytes: Uint8Array) => void) => void): Promise<UdpServer> {
    const socket = dgram.createSocket("udp4");
    socket.on("message", (message, from) => {
      serve(Uint8Array.from(message), (bytes) => socket.send(bytes, from.port, from.address));
    });
    return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(new UdpServer(socket))));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
