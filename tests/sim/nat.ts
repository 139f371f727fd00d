/**
 * A router that translates addresses between an inner and an outer network (RFC 4787). "port-restricted": one outer
 * port per inner socket, open to addresses that were sent to. "symmetric": one outer port per inner socket and
 * destination. "full-cone": one outer port per inner socket, open to all.
 */

import { type IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { type Instant, minutes } from "../../lib/base/time.ts";
import type { Network } from "./network.ts";

export type NatKind = "full-cone" | "port-restricted" | "symmetric";

export class Nat {
  readonly kind: NatKind;
  readonly publicIp: IpAddress;
  readonly #inside: Network;
  readonly #outside: Network;
  readonly #byInside = new Map<string, Mapping>();
  readonly #byPort = new Map<number, Mapping>();
  #nextPort = 20_000;

  constructor(kind: NatKind, inside: Network, outside: Network, publicIp: IpAddress) {
    this.kind = kind;
    this.publicIp = publicIp;
    this.#inside = inside;
    this.#outside = outside;
    inside.router = (source, destination, payload) => this.#outbound(source, destination, payload);
    outside.attach(publicIp, (source, destination, payload) => this.#inbound(source, destination, payload));
  }

  /** Forgets all mappings, as a rebooted router does. */
  reboot(): void {
    this.#byInside.clear();
    this.#byPort.clear();
  }

  #outbound(source: SocketAddress, destination: SocketAddress, payload: Uint8Array): void {
    if (destination.ip.equals(this.publicIp)) return;
    const now = this.#inside.simulation.now;
    const key = this.kind === "symmetric" ? `${source}>${destination}` : `${source}`;
    let mapping = this.#byInside.get(key);
    if (mapping === undefined || mapping.lastUsedAt + MAPPING_LIFETIME < now) {
      mapping = { inside: source, port: this.#nextPort++, contacted: new Set(), lastUsedAt: now };
      this.#byInside.set(key, mapping);
      this.#byPort.set(mapping.port, mapping);
    }
    mapping.lastUsedAt = now;
    mapping.contacted.add(`${destination}`);
    this.#outside.send(new SocketAddress(this.publicIp, mapping.port), destination, payload);
  }

  #inbound(source: SocketAddress, destination: SocketAddress, payload: Uint8Array): void {
    const mapping = this.#byPort.get(destination.port);
    if (mapping === undefined || mapping.lastUsedAt + MAPPING_LIFETIME < this.#inside.simulation.now) return;
    if (this.kind !== "full-cone" && !mapping.contacted.has(`${source}`)) return;
    this.#inside.send(source, mapping.inside, payload);
  }
}

interface Mapping {
  readonly inside: SocketAddress;
  readonly port: number;
  readonly contacted: Set<string>;
  lastUsedAt: Instant;
}

/** RFC 4787 §4.3 asks for at least two minutes; many give less. */
const MAPPING_LIFETIME = minutes(2);
