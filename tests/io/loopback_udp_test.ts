import assert from "node:assert/strict";
import * as dgram from "node:dgram";
import { SocketAddress } from "../../lib/base/ip.ts";
import { loopbackUdp, namesUdpPort } from "../../io/loopback_udp.ts";

// As Linux 6.1 wrote them: dnsmasq at 127.0.0.1 and ::1.
const UDP =
  `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  321: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 66115 2 0000000000000000 0
 4437: 00000000:CD91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 66120 2 0000000000000000 0
`;
const UDP6 =
  ` 1321: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 66117 2 0000000000000000 0
`;

Deno.test("namesUdpPort: finds the local port, and not the remote one", () => {
  assert.ok(namesUdpPort(UDP, 53));
  assert.ok(namesUdpPort(UDP6, 53));
  assert.ok(namesUdpPort(UDP, 0xcd91));
  for (const port of [0, 5, 54, 321, 5353]) assert.equal(namesUdpPort(UDP + UDP6, port), false, String(port));
  assert.equal(namesUdpPort("", 53), false);
});

/** Binds a socket on the loopback; `onMessage` gets what it receives. */
async function bind(onMessage: (socket: dgram.Socket, port: number) => void): Promise<dgram.Socket> {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (_, { port }) => onMessage(socket, port));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket;
}

function ask(port: number, signal: AbortSignal): Promise<Uint8Array> {
  return loopbackUdp.exchange(Uint8Array.of(1), SocketAddress.from(`127.0.0.1:${port}`), () => true, signal);
}

Deno.test("loopbackUdp: gives up where nobody receives, long before its time is over", async () => {
  const gone = await bind(() => {});
  const { port } = gone.address();
  await new Promise<void>((resolve) => gone.close(resolve));
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), 30_000);
  await assert.rejects(ask(port, end.signal), /connection refused/);
  clearTimeout(timer);
});

Deno.test("loopbackUdp: waits for one that thinks about it", async () => {
  const server = await bind((socket, port) => {
    setTimeout(() => socket.send(Uint8Array.of(2), port, "127.0.0.1"), 300);
  });
  try {
    assert.deepEqual(await ask(server.address().port, new AbortController().signal), Uint8Array.of(2));
  } finally {
    await new Promise<void>((resolve) => server.close(resolve));
  }
});
