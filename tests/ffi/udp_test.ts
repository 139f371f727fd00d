import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import { platform } from "../../ffi/mod.ts";
import type { UdpOptions, UdpSocket } from "../../ffi/platform.ts";

interface Received {
  readonly local: string;
  readonly remote: string;
  readonly payload: Uint8Array;
}

const host = await platform();
const HAS_IPV6 = hasLoopback6();

function hasLoopback6(): boolean {
  try {
    host.bindUdp({ address: SocketAddress.from("[::1]:0") })!.close();
    return true;
  } catch {
    return false;
  }
}

function open(address: string, options: Omit<UdpOptions, "address"> = {}): UdpSocket {
  return host.bindUdp({ address: SocketAddress.from(address), ...options })!;
}

function drain(socket: UdpSocket): Received[] {
  const received: Received[] = [];
  while (
    socket.receive((local, remote, payload) =>
      received.push({ local: String(local), remote: String(remote), payload: payload.slice() })
    )
  );
  return received;
}

function fill(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

for (const [segment, coalesce] of [[true, true], [true, false], [false, true], [false, false]] as const) {
  const title = `segmentation ${segment ? "on" : "off"}, coalescing ${coalesce ? "on" : "off"}`;
  Deno.test(`UdpSocket: keeps number, order, size and content of datagrams, ${title}`, () => {
    const a = open("127.0.0.1:0", { offload: { segment, coalesce } });
    const b = open("127.0.0.1:0", { offload: { segment, coalesce } });
    const sizes = [...Array(100).fill(1312), 20, 1312, 1312, 0, 5, 5, 5, 1400, 65_000, 1, 0, 0];
    sizes.forEach((size, index) => a.send({ local: undefined, remote: b.local, payload: fill(size, index) }));
    a.flush();
    const received = drain(b);
    assert.deepEqual(received.map(({ payload }) => payload.length), sizes);
    received.forEach(({ payload, remote }, index) => {
      assert.ok(payload.every((byte) => byte === (index & 255)));
      assert.equal(remote, String(a.local));
    });
    assert.equal(a.stats.sentDatagrams, sizes.length);
    assert.equal(b.stats.receivedDatagrams, sizes.length);
    a.close();
    b.close();
  });
}

Deno.test("UdpSocket: knows the address that each datagram came to, and sends from the one asked for", () => {
  const a = open("0.0.0.0:0");
  const b = open("0.0.0.0:0");
  for (const last of [2, 3, 2, 2]) {
    const local = SocketAddress.from(`127.0.0.${last}:1`);
    a.send({ local, remote: SocketAddress.from(`127.0.0.9:${b.local.port}`), payload: fill(10, last) });
  }
  a.flush();
  const received = drain(b);
  assert.deepEqual(received.map(({ local }) => local), Array(4).fill(`127.0.0.9:${b.local.port}`));
  assert.deepEqual(received.map(({ remote, payload }) => [remote, payload[0]]), [
    [`127.0.0.2:${a.local.port}`, 2],
    [`127.0.0.3:${a.local.port}`, 3],
    [`127.0.0.2:${a.local.port}`, 2],
    [`127.0.0.2:${a.local.port}`, 2],
  ]);
  a.close();
  b.close();
});

Deno.test({
  name: "UdpSocket: does the same over IPv6, next to an IPv4 socket on the same port",
  ignore: !HAS_IPV6,
  fn() {
    const a = open("[::]:0");
    const b = open("[::]:0");
    const same = open(`0.0.0.0:${b.local.port}`);
    const remote = SocketAddress.from(`[::1]:${b.local.port}`);
    for (let index = 0; index < 70; index++) {
      a.send({ local: SocketAddress.from("[::1]:1"), remote, payload: fill(1200, index) });
    }
    a.flush();
    const received = drain(b);
    assert.equal(received.length, 70);
    assert.equal(received[69]!.local, `[::1]:${b.local.port}`);
    assert.equal(received[69]!.remote, `[::1]:${a.local.port}`);
    for (const socket of [a, b, same]) socket.close();
  },
});

Deno.test("UdpSocket: hands out one address object for equal senders", () => {
  const a = open("127.0.0.1:0");
  const b = open("127.0.0.1:0");
  const remotes = new Set<SocketAddress>();
  for (let index = 0; index < 5; index++) {
    a.send({ local: undefined, remote: b.local, payload: fill(index + 1, 0) });
    a.flush();
    b.receive((_, remote) => remotes.add(remote));
  }
  assert.equal(remotes.size, 1);
  a.close();
  b.close();
});

Deno.test("UdpSocket: counts what cannot be sent, and goes on", () => {
  const a = open("127.0.0.1:0");
  const b = open("127.0.0.1:0");
  const nowhere = SocketAddress.from("127.0.0.1:9");
  a.send({ local: SocketAddress.from("192.0.2.1:1"), remote: b.local, payload: fill(4, 1) });
  a.send({ local: undefined, remote: nowhere, payload: new Uint8Array(65_508) });
  a.send({ local: undefined, remote: SocketAddress.from("[::1]:9"), payload: fill(1, 1) });
  a.send({ local: undefined, remote: nowhere, payload: fill(4, 1) });
  a.send({ local: undefined, remote: b.local, payload: fill(4, 2) });
  a.flush();
  assert.deepEqual([...a.stats.sendErrors].sort(), [["EAFNOSUPPORT", 1], ["EMSGSIZE", 1], [
    "ENETUNREACH",
    1,
  ]]);
  assert.equal(drain(b).length, 1);
  a.close();
  b.close();
});

Deno.test("UdpSocket: keeps order between sockets that share the batch", () => {
  const a = open("127.0.0.1:0");
  const b = open("127.0.0.1:0");
  const c = open("127.0.0.1:0");
  for (let index = 0; index < 6; index++) {
    (index % 2 === 0 ? a : b).send({ local: undefined, remote: c.local, payload: fill(8, index) });
  }
  a.flush();
  b.flush();
  assert.deepEqual(drain(c).map(({ payload }) => payload[0]), [0, 1, 2, 3, 4, 5]);
  for (const socket of [a, b, c]) socket.close();
});

Deno.test("bindUdp: falls back to a free port only where that is allowed", () => {
  const first = open("127.0.0.1:0");
  const second = open(`127.0.0.1:${first.local.port}`, { fallbackPort: 0 });
  assert.notEqual(second.local.port, first.local.port);
  assert.throws(() => open(`127.0.0.1:${first.local.port}`), (error) => {
    assert.ok(error instanceof Fault);
    assert.match(error.message, /127\.0\.0\.1:\d+: the address is in use/);
    return true;
  });
  first.close();
  second.close();
});

Deno.test("UdpSocket.close: leaves a socket that neither sends nor receives", () => {
  const a = open("127.0.0.1:0");
  a.close();
  a.close();
  a.send({ local: undefined, remote: SocketAddress.from("127.0.0.1:9"), payload: fill(1, 1) });
  a.flush();
  assert.equal(a.receive(() => assert.fail()), false);
});
