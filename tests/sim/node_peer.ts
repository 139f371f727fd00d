/** A host that runs a `Node`, records what comes out, and is signalled to by a stand-in for the portal. */

import type { Datagram } from "../../lib/base/datagram.ts";
import type { SocketAddress } from "../../lib/base/ip.ts";
import { nobleProvider } from "../../lib/base/crypto.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Duration, Instant, Wake } from "../../lib/base/time.ts";
import { Node, type NodeEvent } from "../../lib/node/node.ts";
import { type KeyPair, newKeyPair } from "../../lib/node/key_pair.ts";
import type { PathInfo } from "../../lib/node/path.ts";
import { Host, type Machine } from "./host.ts";
import { wallClock } from "./relay.ts";
import type { Simulation } from "./simulation.ts";

export class NodePeer implements Machine {
  readonly name: string;
  readonly simulation: Simulation;
  readonly host: Host;
  readonly node: Node;
  keyPair: KeyPair;
  readonly packets: { readonly from: string; readonly packet: Uint8Array }[] = [];
  readonly events: { readonly at: Instant; readonly event: NodeEvent }[] = [];
  /** Peers that candidates are signalled to, by name. */
  readonly others = new Map<string, NodePeer>();
  signallingLatency: Duration = 20;

  constructor(simulation: Simulation, name: string, profile: "client" | "gateway") {
    this.name = name;
    this.simulation = simulation;
    this.host = new Host(simulation);
    this.keyPair = newKeyPair(simulation.rng);
    this.node = new Node({
      profile,
      keyPair: this.keyPair,
      crypto: nobleProvider,
      rng: simulation.rng,
      now: simulation.now,
      wallClock: wallClock(),
      log: silentLog,
    });
  }

  start(): void {
    this.host.run(this);
  }

  /** Calls the node at the present instant and drains it. */
  use<T>(action: (node: Node, now: Instant) => T): T {
    const result = action(this.node, this.simulation.now);
    this.host.drain();
    return result;
  }

  /** Sends `packet` to the peer called `to`. Returns whether it left. */
  send(to: string, packet: Uint8Array): boolean {
    const datagram = this.node.encapsulate(to, packet, this.simulation.now);
    if (datagram !== undefined) this.host.send(datagram);
    this.host.drain();
    return datagram !== undefined;
  }

  path(to: string): PathInfo | undefined {
    return this.node.status().connections.find(({ peerId }) => peerId === to)?.path;
  }

  eventTypes(): string[] {
    return this.events.map(({ event }) => event.type).filter((type) => !type.startsWith("candidate"));
  }

  has(type: NodeEvent["type"]): boolean {
    return this.events.some(({ event }) => event.type === type);
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const received = this.node.handleDatagram(local, remote, payload, now);
    if (received !== undefined) this.packets.push({ from: received.peerId, packet: received.packet.slice() });
  }

  handleTimeout(now: Instant): void {
    this.node.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.node.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.node.pollDatagram();
  }

  drained(now: Instant): void {
    for (let event = this.node.pollEvent(); event !== undefined; event = this.node.pollEvent()) {
      this.events.push({ at: now, event });
      this.#signal(event);
    }
  }

  #signal(event: NodeEvent): void {
    if (event.type !== "candidate" && event.type !== "candidate-invalidated") return;
    const { type, peerId, candidate } = event;
    this.simulation.schedule(this.signallingLatency, () => {
      this.others.get(peerId)?.use((node, now) => {
        if (type === "candidate") node.addRemoteCandidate(this.name, candidate, now);
        else node.removeRemoteCandidate(this.name, candidate, now);
      });
    });
  }
}

/** Lets both sides make their connection, as a portal does: the gateway first, then the client. */
export function authorize(client: NodePeer, gateway: NodePeer): void {
  client.others.set(gateway.name, gateway);
  gateway.others.set(client.name, client);
  // Like the portal's, these depend on names and keys only.
  const id =
    `${client.name}${client.keyPair.publicKey.toHex()}${gateway.name}${gateway.keyPair.publicKey.toHex()}`;
  const hash = [...id].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) >>> 0, 7).toString(16);
  const clientIce = { username: `c${hash.slice(0, 4)}`, password: `client-password-${hash}` };
  const gatewayIce = { username: `g${hash.slice(4)}`, password: `gateway-password-${hash}` };
  const presharedKey = new Uint8Array(32).fill(parseInt(hash.slice(0, 2), 16));
  // Before the gateway's candidates, which take as long.
  client.simulation.schedule(client.signallingLatency, () => {
    client.use((node, now) =>
      node.upsertConnection(gateway.name, {
        remotePublicKey: gateway.keyPair.publicKey,
        presharedKey,
        localIce: clientIce,
        remoteIce: gatewayIce,
        controlling: true,
      }, now)
    );
  });
  gateway.use((node, now) =>
    node.upsertConnection(client.name, {
      remotePublicKey: client.keyPair.publicKey,
      presharedKey,
      localIce: gatewayIce,
      remoteIce: clientIce,
      controlling: false,
    }, now)
  );
}

/** Returns an IPv4 packet that says `text`. */
export function packetSaying(text: string): Uint8Array {
  const body = new TextEncoder().encode(text);
  const packet = new Uint8Array(20 + body.length);
  packet.set([
    0x45,
    0,
    packet.length >> 8,
    packet.length & 0xff,
    0,
    0,
    0,
    0,
    64,
    17,
    0,
    0,
    100,
    64,
    0,
    1,
    10,
    0,
    0,
    1,
  ]);
  packet.set(body, 20);
  return packet;
}
