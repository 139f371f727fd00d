/**
 * The whole data path without the kernel: a frame of 51 segments from the TUN device is cut up, routed and sealed by a
 * client, opened and judged by a gateway, and joined again for its TUN device.
 */

import { arena } from "../ffi/memory.ts";
import { arenaSum } from "../ffi/arena_sum.ts";
import { chooseProvider } from "../io/crypto.ts";
import type { Datagram } from "../lib/base/datagram.ts";
import { IpAddress } from "../lib/base/ip.ts";
import { Coalescer, COALESCER_MEMORY } from "../lib/wire/coalescing.ts";
import { Segmenter } from "../lib/wire/segmentation.ts";
import { buildTcp, TcpFlag } from "../lib/wire/tcp.ts";
import { GsoType, VIRTIO_HEADER_LENGTH, VirtioFlag, writeVirtioHeader } from "../lib/wire/virtio.ts";
import { World } from "../tests/sim/world.ts";

const SERVER = IpAddress.from("10.1.0.5");
const SEGMENT = 1240;
const SEGMENTS = 51;

const world = new World({ crypto: await chooseProvider() });
world.echo(`${SERVER}:7`, "hello");
const { client, now } = world;
const gateway = world.gateways[0]!;
const frame = arena.allocate(65_536 + 16) + 16 - VIRTIO_HEADER_LENGTH;
const wire = arena.allocate(2048);
const segmenter = new Segmenter(arena.bytes, arenaSum);
let frames = 0;
const coalescer = new Coalescer({
  memory: arena.bytes,
  start: arena.allocate(COALESCER_MEMORY),
  sum: arenaSum,
  tcp: true,
  udp: true,
  emit: () => frames++,
});
const headers = buildTcp({
  source: client.config.ipv4,
  destination: SERVER,
  sourcePort: 40_000,
  destinationPort: 5201,
  sequence: 1,
  acknowledgment: 1,
  window: 65_535,
  flags: TcpFlag.ack,
});

const inbound = (datagram: Datagram) => {
  arena.bytes.set(datagram.payload, wire);
  const payload = arena.view(wire, datagram.payload.length);
  const packet = gateway.session.handleDatagram(datagram.remote, datagram.local!, payload, now);
  if (packet === undefined) throw new Error("The gateway did not pass the packet on");
  coalescer.add(packet);
};

const outbound = (offset: number, length: number) => {
  const datagram = client.session.handlePacket(arena.view(offset, length), now);
  if (datagram === undefined) throw new Error("The client did not send the packet");
  inbound(datagram);
};

function passFrame(): void {
  const length = headers.length + SEGMENT * SEGMENTS;
  const packet = frame + VIRTIO_HEADER_LENGTH;
  arena.bytes.set(headers, packet);
  arena.data.setUint16(packet + 2, length);
  writeVirtioHeader(arena.data, frame, {
    flags: VirtioFlag.needsChecksum,
    gsoType: GsoType.tcp4,
    headerLength: headers.length,
    gsoSize: SEGMENT,
    checksumStart: 20,
    checksumOffset: 16,
  });
  frames = 0;
  if (!segmenter.split(frame, VIRTIO_HEADER_LENGTH + length, outbound)) {
    throw new Error("The frame is malformed");
  }
  coalescer.flush();
  if (frames !== 1) throw new Error(`The frame became ${frames}`);
}

Deno.bench(`${SEGMENTS} segments of ${SEGMENT} bytes`, passFrame);
