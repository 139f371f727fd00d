/** A client and a gateway with real relays on a simulated internet, each behind a NAT of choice. */

import assert from "node:assert/strict";
import { equalBytes } from "../../lib/base/bytes.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { Nat, type NatKind } from "./nat.ts";
import { Network } from "./network.ts";
import { authorize, NodePeer, packetSaying } from "./node_peer.ts";
import { SimRelay } from "./relay.ts";
import { Simulation } from "./simulation.ts";

export interface NodeWorld {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly client: NodePeer;
  readonly gateway: NodePeer;
  readonly relays: SimRelay[];
}

/** Without a NAT a peer is on the internet itself. One IPv4 relay unless told otherwise. */
export interface NodeWorldOptions {
  readonly client?: NatKind;
  readonly gateway?: NatKind;
  /** Each relay's addresses. */
  readonly relays?: string[][];
  readonly seed?: number;
}

/** Starts everything and tells both sides about the relays. */
export function newWorld(options: NodeWorldOptions = {}): NodeWorld {
  const simulation = new Simulation(options.seed ?? 1);
  const internet = new Network(simulation, "internet", 10);
  const relayAddresses = options.relays ?? [["198.51.100.1"]];
  const relays = relayAddresses.map((addresses, index) =>
    new SimRelay(simulation, internet, `relay${index}`, ...addresses)
  );
  const client = new NodePeer(simulation, "client", "client");
  const gateway = new NodePeer(simulation, "gateway", "gateway");
  for (const [index, peer] of [client, gateway].entries()) {
    const nat = index === 0 ? options.client : options.gateway;
    if (nat === undefined) {
      peer.host.attach(internet, IpAddress.from(`192.0.2.${index + 1}`));
    } else {
      const lan = new Network(simulation, `lan${index}`, 1);
      peer.host.attach(lan, IpAddress.from(`10.${index}.0.2`));
      new Nat(nat, lan, internet, IpAddress.from(`192.0.2.${index + 1}`));
    }
    peer.start();
    tellRelays(peer, relays);
  }
  return { simulation, internet, client, gateway, relays };
}

/** Tells `peer` what the portal knows of `relays`. */
export function tellRelays(peer: NodePeer, relays: SimRelay[]): void {
  peer.use((node, now) => node.setRelays(relays.flatMap((relay) => relay.configs(peer.name)), now));
}

/** Lets the relays answer, authorizes, and returns how long both sides took to be connected. */
export function connect({ simulation, client, gateway }: NodeWorld): number {
  simulation.runFor(500);
  authorize(client, gateway);
  const took = simulation.runUntil(() => areConnected({ client, gateway }), 20_000);
  assert(took !== undefined, "never connected");
  return took;
}

/** Returns whether both sides can send packets. */
export function areConnected({ client, gateway }: Pick<NodeWorld, "client" | "gateway">): boolean {
  return client.node.isConnected("gateway") && gateway.node.isConnected("client");
}

/** Asserts that packets pass both ways now. */
export function assertFlows({ simulation, client, gateway }: NodeWorld, text = "hello"): void {
  assert(client.send("gateway", packetSaying(text)), "client cannot send");
  assert(gateway.send("client", packetSaying(`${text} back`)), "gateway cannot send");
  simulation.runFor(300);
  const hasArrived = (at: NodePeer, from: string, said: string) =>
    at.packets.some((received) => received.from === from && equalBytes(received.packet, packetSaying(said)));
  assert(hasArrived(gateway, "client", text), "nothing arrives at the gateway");
  assert(hasArrived(client, "gateway", `${text} back`), "nothing arrives at the client");
}

/** Sends a packet each way every 100 ms. */
export function keepTalking({ simulation, client, gateway }: NodeWorld): void {
  client.send("gateway", packetSaying("tick"));
  gateway.send("client", packetSaying("tock"));
  simulation.schedule(100, () => keepTalking({ simulation, client, gateway } as NodeWorld));
}
