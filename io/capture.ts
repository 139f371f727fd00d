/**
 * A capture of the packets inside the tunnel, as pcapng. The tap copies each wanted packet into a bounded queue; a
 * reader that is too slow loses packets, never the tunnel, and the capture says how many.
 */

import { concatBytes } from "../lib/base/bytes.ts";
import { Fault } from "../lib/base/fault.ts";
import type { RequestOf } from "../lib/control/api.ts";
import { VERSION } from "../lib/control/version.ts";
import { type FindResource, type PacketFilter, parsePacketFilter } from "../lib/wire/packet_filter.ts";
import {
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  MAX_SNAP_LENGTH,
  sectionHeader,
} from "../lib/wire/pcapng.ts";
import type { PacketTap } from "./loop.ts";

/** What is captured, and where. */
export interface CaptureOptions extends RequestOf<"capture"> {
  readonly interfaceName: string;
  readonly findResource?: FindResource;
  /** Shows packets to a tap until the returned function is called. */
  readonly addTap: (tap: PacketTap) => () => void;
  /** Bytes that may wait for a slow reader. */
  readonly maxWaiting?: number;
}

const DEFAULT_MAX_LENGTH = 10 * 2 ** 20;
const MAX_WAITING = 4 * 2 ** 20;
/** Longest delay of a timer. */
const MAX_DURATION_MS = 2 ** 31 - 1;
/** Statistics come with the packets that they count, but not with each. */
const STATISTICS_INTERVAL_US = 1_000_000;
/** What the last statistics take of the capture's length. */
const STATISTICS_LENGTH = 52;

/**
 * Returns the capture as it comes; it ends by its bounds or with `signal`. Packets count from this call on. Throws a
 * Fault ("usage") for a filter that cannot be read.
 */
export function capturePackets(options: CaptureOptions, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const capture = new PacketCapture(options, parseFilter(options));
  // Here and not in the generator, which may never be started.
  signal.addEventListener("abort", () => capture.end(), { once: true });
  if (signal.aborted) capture.end();
  return drain(capture);
}

async function* drain(capture: PacketCapture): AsyncGenerator<Uint8Array> {
  try {
    for (let chunk = await capture.take(); chunk !== undefined; chunk = await capture.take()) yield chunk;
  } finally {
    capture.end();
  }
}

class PacketCapture {
  readonly #filter: PacketFilter;
  readonly #removeTap: () => void;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #snapLength: number;
  readonly #maxLength: number;
  readonly #maxPackets: number;
  readonly #maxWaiting: number;
  #waiting: Uint8Array[] = [];
  #waitingLength = 0;
  #length = 0;
  #wanted = 0;
  #kept = 0;
  #toldDropped = 0;
  #toldAt = 0;
  #isEnding = false;
  #isOver = false;
  #wake = () => {};

  constructor(options: CaptureOptions, filter: PacketFilter) {
    this.#filter = filter;
    // A block of pcapng that nothing can come after is worse than one byte.
    this.#snapLength = Math.min(Math.max(options.snapLength ?? MAX_SNAP_LENGTH, 1), MAX_SNAP_LENGTH);
    this.#maxLength = options.maxBytes ?? DEFAULT_MAX_LENGTH;
    this.#maxPackets = options.maxPackets ?? Infinity;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING;
    this.#add(sectionHeader({ os: Deno.build.os, application: `fz ${VERSION}` }));
    this.#add(interfaceDescription({ name: options.interfaceName, snapLength: this.#snapLength }));
    this.#removeTap = options.addTap((packet, direction) => this.#see(packet, direction));
    const { durationMs } = options;
    this.#timer = durationMs === undefined
      ? undefined
      : setTimeout(() => this.end(), Math.min(durationMs, MAX_DURATION_MS));
    if (this.#maxPackets === 0) this.end();
  }

  /** Returns what came since the last call, as soon as there is something; undefined after the end. */
  async take(): Promise<Uint8Array | undefined> {
    while (this.#waiting.length === 0 && !this.#isEnding) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#isOver) return undefined;
    if (this.#isEnding) this.#isOver = true;
    if (this.#isEnding || (this.#dropped > this.#toldDropped && nowUs() > this.#toldAt)) this.#tell();
    const chunk = concatBytes(...this.#waiting);
    this.#waiting = [];
    this.#waitingLength = 0;
    return chunk;
  }

  /** Takes no more packets; what waits can still be taken. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#removeTap();
    clearTimeout(this.#timer);
    this.#wake();
  }

  #see(packet: Uint8Array, direction: "in" | "out"): void {
    if (this.#isEnding || !this.#filter(packet, direction)) return;
    this.#wanted++;
    const kept = Math.min(packet.length, this.#snapLength);
    if (this.#waitingLength + kept > this.#maxWaiting) return;
    const block = enhancedPacket({
      interfaceId: 0,
      timeUs: nowUs(),
      packet,
      snapLength: this.#snapLength,
      direction,
    });
    if (this.#length + block.length + STATISTICS_LENGTH > this.#maxLength) {
      this.#wanted--;
      this.end();
      return;
    }
    this.#add(block);
    if (++this.#kept >= this.#maxPackets) this.end();
    this.#wake();
  }

  get #dropped(): number {
    return this.#wanted - this.#kept;
  }

  #add(block: Uint8Array): void {
    this.#waiting.push(block);
    this.#waitingLength += block.length;
    this.#length += block.length;
  }

  #tell(): void {
    const timeUs = nowUs();
    const [received, dropped] = [this.#wanted, this.#dropped];
    this.#add(interfaceStatistics({ interfaceId: 0, timeUs, received, dropped }));
    this.#toldDropped = dropped;
    this.#toldAt = timeUs + STATISTICS_INTERVAL_US;
  }
}

function parseFilter({ filter = "", findResource }: CaptureOptions): PacketFilter {
  const parsed = parsePacketFilter(filter, findResource);
  if (parsed.ok) return parsed.value;
  const { position, reason } = parsed.reason;
  throw new Fault("usage", `Cannot use capture filter "${filter}": at character ${position}, ${reason}`, {
    next: 'A filter is, for example: tcp port 443 and host 10.0.0.5, or: resource "git lab" or icmp.',
  });
}

function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
