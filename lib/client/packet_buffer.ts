/**
 * Packets that wait for a way: a ring of copies. An exact repetition is not stored, and a repeated TCP SYN takes the
 * place of the one before, so that a connection that opens late starts with one SYN, the newest.
 */

import type { IpPacket } from "../wire/ip.ts";
import { TcpFlag, tcpFlags } from "../wire/tcp.ts";

interface Held {
  readonly bytes: Uint8Array;
  /** Addresses and ports of a TCP SYN; undefined for everything else. */
  readonly synFlow: string | undefined;
}

/** A bounded queue of packets. */
export class PacketBuffer {
  readonly #capacity: number;
  #held: Held[] = [];
  #dropped = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#held.length;
  }

  /** How many packets were forgotten because there was no room. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Keeps a copy of `packet`; when full, the oldest one is forgotten. */
  push(packet: IpPacket): void {
    const synFlow = synFlowOf(packet);
    if (synFlow !== undefined) this.#held = this.#held.filter((held) => held.synFlow !== synFlow);
    else if (this.#held.some((held) => isSame(held.bytes, packet.bytes))) return;
    if (this.#held.length === this.#capacity) {
      this.#held.shift();
      this.#dropped++;
    }
    this.#held.push({ bytes: packet.bytes.slice(), synFlow });
  }

  /** Returns all packets in order and leaves the buffer empty. */
  takeAll(): Uint8Array[] {
    const held = this.#held;
    this.#held = [];
    return held.map(({ bytes }) => bytes);
  }
}

function synFlowOf(packet: IpPacket): string | undefined {
  if (packet.transport !== "tcp" || (tcpFlags(packet) & (TcpFlag.syn | TcpFlag.ack)) !== TcpFlag.syn) {
    return undefined;
  }
  return `${packet.sourceKey} ${packet.destinationKey} ${packet.sourcePort} ${packet.destinationPort}`;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
