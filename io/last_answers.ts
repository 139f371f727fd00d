/**
 * The end of DNS in a session. Who read the machine's settings before they were given back may still ask at a sentinel, and
 * the C library waits five seconds for an answer that does not come (resolv.conf(5), "timeout"). So the session answers until
 * nobody asks any more.
 */

import { readU16 } from "../lib/base/bytes.ts";
import type { Duration } from "../lib/base/time.ts";
import { isSentinelAddress } from "../lib/dns/sentinels.ts";
import { IpPacket } from "../lib/wire/ip.ts";
import { monotonicNow } from "./clock.ts";
import type { PacketTap } from "./loop.ts";

/** So long nobody has to have asked. */
const QUIET_MS = 100;
/** So long at most the rest of the end waits: a program that asks without pause must not hold it up. */
const LIMIT: Duration = 500;
/** Often enough not to add to it. */
const LOOK_MS = 10;
const DNS_PORT = 53;
/** More questions than this that wait for an answer are not told apart. */
const MAX_OPEN = 1024;

export class LastAnswers {
  readonly #removeTap: () => void;
  readonly #packet = new IpPacket();
  /** Questions without an answer: port of who asks, and number of the question. */
  readonly #open = new Set<number>();
  #lastAt = -Infinity;

  readonly #limit: Duration;

  /** Watches the packets that `addTap` shows, from now on. `limit` bounds each wait. */
  constructor(addTap: (tap: PacketTap) => () => void, limit = LIMIT) {
    this.#limit = limit;
    this.#removeTap = addTap((packet, direction) => this.#take(packet, direction));
  }

  /** Resolves when all is answered and nobody asked for a moment; after the limit at the latest. May be asked again. */
  async given(): Promise<void> {
    const begin = monotonicNow();
    for (;;) {
      const now = monotonicNow();
      const isQuiet = now - Math.max(this.#lastAt, begin) >= QUIET_MS && this.#open.size === 0;
      if (isQuiet || now - begin >= this.#limit) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Watches no longer. */
  close(): void {
    this.#removeTap();
  }

  #take(bytes: Uint8Array, direction: "in" | "out"): void {
    const packet = this.#packet;
    if (packet.load(bytes) !== undefined || (packet.transport !== "udp" && packet.transport !== "tcp")) {
      return;
    }
    const ports = packet.transportOffset;
    const isOut = direction === "out";
    if (readU16(packet.bytes, isOut ? ports + 2 : ports) !== DNS_PORT) return;
    if (!isSentinelAddress(isOut ? packet.destination : packet.source)) return;
    this.#lastAt = monotonicNow();
    if (packet.transport === "tcp" || packet.length < ports + 10) return;
    const key = readU16(packet.bytes, isOut ? ports : ports + 2) * 0x10000 + readU16(packet.bytes, ports + 8);
    if (!isOut) this.#open.delete(key);
    else if (this.#open.size < MAX_OPEN) this.#open.add(key);
  }
}
