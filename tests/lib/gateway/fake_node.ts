/** A node without network: records what it was told, carries packets in the clear, one address a peer. */

import type { Datagram } from "../../../lib/base/datagram.ts";
import { SocketAddress } from "../../../lib/base/ip.ts";
import type { GatewayNode } from "../../../lib/gateway/node_port.ts";
import type { NodeEvent } from "../../../lib/node/node.ts";

export class FakeNode implements GatewayNode {
  hasRelays = true;
  readonly calls: string[] = [];
  readonly events: NodeEvent[] = [];
  readonly datagrams: Datagram[] = [];
  readonly #peers: string[] = [];

  remoteOf(peerId: string): SocketAddress {
    return SocketAddress.from(`192.0.2.1:${this.#peers.indexOf(peerId) + 1}`);
  }

  handleRelays(change: { disconnectedIds: readonly string[]; connected: readonly { id: string }[] }): void {
    const connected = change.connected.map(({ id }) => id);
    this.calls.push(`relays -${change.disconnectedIds.join()} +${connected.join()}`);
  }

  setRelays(connected: readonly { id: string }[]): void {
    this.calls.push(`relays +${connected.map(({ id }) => id).join()}`);
  }

  upsertConnection(peerId: string): ReturnType<GatewayNode["upsertConnection"]> {
    if (!this.hasRelays) return { ok: false, reason: "no-relays" };
    this.calls.push(`upsert ${peerId}`);
    if (!this.#peers.includes(peerId)) this.#peers.push(peerId);
    this.events.push({ type: "candidate", peerId, candidate: `candidate:${peerId}:1` });
    this.events.push({ type: "candidate", peerId, candidate: `candidate:${peerId}:2` });
    return { ok: true };
  }

  addRemoteCandidate(peerId: string, text: string): void {
    this.calls.push(`add ${peerId} ${text}`);
  }

  removeRemoteCandidate(peerId: string, text: string): void {
    this.calls.push(`remove ${peerId} ${text}`);
  }

  encapsulate(peerId: string, packet: Uint8Array): Datagram | undefined {
    if (!this.#peers.includes(peerId)) return undefined;
    return { local: undefined, remote: this.remoteOf(peerId), payload: packet };
  }

  handleDatagram(
    _local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
  ): { peerId: string; packet: Uint8Array } | undefined {
    const peerId = this.#peers[remote.port - 1];
    return peerId === undefined ? undefined : { peerId, packet: payload };
  }

  closeConnection(peerId: string): void {
    this.calls.push(`close ${peerId}`);
  }

  sayGoodbye(peerId: string, packet: Uint8Array): void {
    this.calls.push(`goodbye ${peerId} ${packet.length}`);
  }

  close(): void {
    this.calls.push("close");
  }

  handleTimeout(): void {}

  pollTimeout(): undefined {}

  pollDatagram(): Datagram | undefined {
    return this.datagrams.shift();
  }

  pollEvent(): NodeEvent | undefined {
    return this.events.shift();
  }

  status() {
    return { connections: [], relays: [] };
  }
}
