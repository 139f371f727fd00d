/**
 * The TUN device of Windows: an adapter of Wintun's driver (wintun.h), which lives as long as its handle. Packets go
 * through two rings of shared memory, 16 MiB each. One packet a call, none larger than the MTU.
 */

import { arena } from "../memory.ts";
import type { PacketHandler, Tun, TunOptions } from "../platform.ts";
import { newTunStats } from "../stats.ts";
import type { EventSource } from "./event_poller.ts";
import { isElevated } from "./privileges.ts";
import { iphlpapi, kernel32, wide, withMemory } from "./symbols.ts";
import { adapterGuid, adapterName, guidBytes, TUNNEL_TYPE } from "./tunnel_name.ts";
import type { WayOut } from "./way_out.ts";
import { faultOf, Win32 } from "./win32.ts";
import { type Wintun, wintun } from "./wintun.ts";

/** Creates an adapter. Throws a Fault: "tun" when it is in use or there is no driver, "privilege" when forbidden. */
export function openTun({ name, mtu }: TunOptions, wayOut: WayOut): Tun {
  checkTun();
  const api = wintun();
  const own = adapterName(name);
  const action = `Cannot open TUN device "${own}"`;
  const next =
    "Stop the other program that has it, or choose another name. Events of Wintun are in the system's log.";
  const adapter = withMemory(
    wide(own),
    (_, label) =>
      withMemory(wide(TUNNEL_TYPE), (_, type) =>
        withMemory(
          guidBytes(adapterGuid(own)),
          (_, guid) => api.WintunCreateAdapter(label, type, guid),
        )),
  );
  if (adapter === 0n) throw faultOf(action, kernel32.GetLastError(), { code: "tun", next });
  const session = api.WintunStartSession(adapter, RING_CAPACITY);
  if (session === 0n) {
    const error = kernel32.GetLastError();
    api.WintunCloseAdapter(adapter);
    throw faultOf(action, error, { code: "tun", next });
  }
  const index = indexOf(api, adapter);
  wayOut.addTunnel(own, index);
  return new WindowsTun(api, { adapter, session, index, name: own, mtu }, wayOut);
}

/** Throws the Fault that `openTun` would throw for want of a privilege or of Wintun; changes nothing. */
export function checkTun(): void {
  if (!isElevated()) throw faultOf("Cannot make a TUN device", Win32.accessDenied);
  wintun();
}

interface Device {
  readonly adapter: bigint;
  readonly session: bigint;
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
}

class WindowsTun implements Tun, EventSource {
  readonly descriptor: number;
  readonly name: string;
  readonly offload = { virtioHeader: false, tcp: false, udp: false };
  readonly stats = newTunStats();
  isGone = false;
  isReady = false;
  readonly #api: Wintun;
  readonly #device: Device;
  readonly #wayOut: WayOut;
  readonly #memory = arena.allocate(PACKET_CAPACITY * 2);
  readonly #incoming = this.#memory + ROOM;
  readonly #outgoing = this.#memory + PACKET_CAPACITY;
  readonly #size = arena.allocate(8);
  #isOpen = true;

  constructor(api: Wintun, device: Device, wayOut: WayOut) {
    this.#api = api;
    this.#device = device;
    this.#wayOut = wayOut;
    this.name = device.name;
    this.descriptor = Number(api.WintunGetReadWaitEvent(device.session));
  }

  receive(handler: PacketHandler): boolean {
    if (!this.#isOpen) return false;
    const { session, mtu } = this.#device;
    const packet = this.#api.WintunReceivePacket(session, arena.address(this.#size));
    if (packet === 0n) {
      const error = kernel32.GetLastError();
      this.isReady = false;
      this.isGone ||= error === Win32.handleEof || error === Win32.invalidData;
      return false;
    }
    this.stats.reads++;
    const length = arena.getU32(this.#size);
    const isFitting = length > 0 && length <= mtu;
    // Out of the ring at once: it is the driver's, and packets are worked on in our own memory.
    if (isFitting) kernel32.RtlMoveMemory(arena.address(this.#incoming), packet, BigInt(length));
    this.#api.WintunReleaseReceivePacket(session, packet);
    if (!isFitting) {
      this.stats.dropped++;
      return true;
    }
    this.stats.receivedPackets++;
    this.stats.receivedBytes += length;
    handler(arena.view(this.#incoming, length));
    return true;
  }

  send(packet: Uint8Array): void {
    const place = this.#isOpen && packet.length > 0 && packet.length <= MAX_PACKET
      ? this.#allocate(packet.length)
      : 0n;
    if (place === 0n) {
      this.stats.dropped++;
      return;
    }
    let from = arena.addressOf(packet);
    if (from === undefined) {
      arena.bytes.set(packet, this.#outgoing);
      from = arena.address(this.#outgoing);
    }
    kernel32.RtlMoveMemory(place, from, BigInt(packet.length));
    this.#api.WintunSendPacket(this.#device.session, place);
    this.stats.sentPackets++;
    this.stats.sentBytes += packet.length;
    this.stats.writes++;
  }

  flush(): void {}

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#wayOut.removeTunnel(this.name);
    this.#api.WintunEndSession(this.#device.session);
    this.#api.WintunCloseAdapter(this.#device.adapter);
    arena.release(this.#memory, PACKET_CAPACITY * 2);
    arena.release(this.#size, 8);
  }

  /** Returns where the ring has room; 0 if it stays full for a moment, or the device is going away. */
  #allocate(length: number): bigint {
    for (let attempt = 0;; attempt++) {
      const place = this.#api.WintunAllocateSendPacket(this.#device.session, length);
      if (place !== 0n || attempt === FULL_RING_ATTEMPTS) return place;
      if (kernel32.GetLastError() !== Win32.bufferOverflow) return 0n;
      // The driver empties it on another thread.
      kernel32.SwitchToThread();
    }
  }
}

function indexOf(api: Wintun, adapter: bigint): number {
  return withMemory(16, (at, address) => {
    api.WintunGetAdapterLUID(adapter, address);
    const error = iphlpapi.ConvertInterfaceLuidToIndex(address, arena.address(at + 8));
    return error === 0 ? arena.getU32(at + 8) : 0;
  });
}

/** A power of two between 128 KiB and 64 MiB; as upstream has it. */
const RING_CAPACITY = 16 * 2 ** 20;
const FULL_RING_ATTEMPTS = 10;
const MAX_PACKET = 65_535;
/** Before a packet, so that it is aligned to 16 bytes and has room for headers. */
const ROOM = 16;
const PACKET_CAPACITY = 65_536 + 32;
