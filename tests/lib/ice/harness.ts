/** Two ICE agents over a simulated network, each behind a NAT of choice. */

import assert from "node:assert/strict";
import type { Datagram } from "../../../lib/base/datagram.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import type { Instant, Wake } from "../../../lib/base/time.ts";
import { IceAgent, type IceState, type LocalCandidate } from "../../../lib/ice/agent.ts";
import { type Candidate, formatCandidate, parseCandidate } from "../../../lib/ice/candidate.ts";
import { CLIENT_PROFILE, GATEWAY_PROFILE, type IceProfile } from "../../../lib/ice/profile.ts";
import { decodeStun } from "../../../lib/wire/stun.ts";
import { Host, type Machine } from "../../sim/host.ts";
import { Nat, type NatKind } from "../../sim/nat.ts";
import { Network } from "../../sim/network.ts";
import { Simulation } from "../../sim/simulation.ts";

export const CLIENT_CREDENTIALS = { username: "cccc", password: "clientpassword01234567" };
export const GATEWAY_CREDENTIALS = { username: "gggg", password: "gatewaypassword0123456" };
export const SIGNALLING_LATENCY = 20;

export function newAgent(controlling: boolean, now: Instant, profile: IceProfile): IceAgent {
  return new IceAgent({
    controlling,
    localCredentials: controlling ? CLIENT_CREDENTIALS : GATEWAY_CREDENTIALS,
    remoteCredentials: controlling ? GATEWAY_CREDENTIALS : CLIENT_CREDENTIALS,
    profile,
    transactionTag: controlling ? 0xc : 0x6,
    rng: seededRng(controlling ? 1 : 2),
    now,
    log: silentLog,
  });
}

/** An agent on a host; a relayed address is one more address that the agent is fed from and sends from. */
export class Peer implements Machine {
  readonly agent: IceAgent;
  readonly host: Host;
  readonly #relayed = new Map<unknown, { address: SocketAddress; network: Network }>();
  states: IceState[] = [];
  selections: string[] = [];
  peer: Peer | undefined;

  constructor(simulation: Simulation, controlling: boolean, profile: IceProfile) {
    this.host = new Host(simulation);
    this.agent = newAgent(controlling, simulation.now, profile);
  }

  start(): void {
    this.host.run(this);
  }

  addLocal(candidate: LocalCandidate): Candidate | undefined {
    const { simulation } = this.host;
    const added = this.agent.addLocalCandidate(candidate, simulation.now);
    this.host.drain();
    if (added !== undefined) {
      const text = formatCandidate(added);
      simulation.schedule(SIGNALLING_LATENCY, () => {
        const parsed = parseCandidate(text);
        assert(parsed.ok);
        this.peer?.agent.addRemoteCandidate(parsed.value, simulation.now);
        this.peer?.host.drain();
      });
    }
    return added;
  }

  addHost(): void {
    const address = this.host.address()!;
    this.addLocal({ kind: "host", address, base: address });
  }

  /** Adds what a STUN server on the internet would tell. */
  addReflexive(internet: Network): void {
    const base = this.host.address()!;
    const server = IpAddress.from("192.0.2.200");
    internet.attach(server, (source) => this.addLocal({ kind: "serverReflexive", address: source, base }));
    this.host.send({ local: base, remote: new SocketAddress(server, 3478), payload: new Uint8Array(1) });
    this.host.simulation.runFor(100);
  }

  addRelayed(internet: Network, text: string): void {
    const address = SocketAddress.from(text);
    this.#relayed.set(address.key, { address, network: internet });
    internet.attach(address.ip, (source, destination, payload) => {
      this.handleDatagram(destination, source, payload, this.host.simulation.now);
      this.host.drain();
    });
    this.addLocal({ kind: "relayed", address, base: address });
  }

  handleDatagram(local: SocketAddress, remote: SocketAddress, payload: Uint8Array, now: Instant): void {
    const message = decodeStun(payload);
    if (message.ok) this.agent.handleStun(message.value, local, remote, now);
  }

  handleTimeout(now: Instant): void {
    this.agent.handleTimeout(now);
  }

  pollTimeout(): Wake | undefined {
    return this.agent.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    for (;;) {
      const transmit = this.agent.pollTransmit();
      if (transmit === undefined) return undefined;
      const relayed = this.#relayed.get(transmit.local.key);
      if (relayed === undefined) return transmit;
      relayed.network.send(relayed.address, transmit.remote, transmit.payload);
    }
  }

  drained(): void {
    if (this.states.at(-1) !== this.agent.state) this.states.push(this.agent.state);
    const { selected } = this.agent;
    const text = selected && `${selected.local.kind}/${selected.remote.kind}`;
    if (text !== undefined && text !== this.selections.at(-1)) this.selections.push(text);
  }
}

export interface World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly client: Peer;
  readonly gateway: Peer;
  readonly nats: readonly (Nat | undefined)[];
}

/** The client in 10.1.0.0/24, the gateway in 10.2.0.0/24, each behind a NAT of the kind given. */
export function newWorld(clientNat: NatKind | "none", gatewayNat: NatKind | "none", seed = 1): World {
  const simulation = new Simulation(seed);
  const internet = new Network(simulation, "internet", 10);
  const client = new Peer(simulation, true, CLIENT_PROFILE);
  const gateway = new Peer(simulation, false, GATEWAY_PROFILE);
  client.peer = gateway;
  gateway.peer = client;
  const nats = [client, gateway].map((peer, index) => {
    const kind = index === 0 ? clientNat : gatewayNat;
    if (kind === "none") {
      peer.host.attach(internet, IpAddress.from(`192.0.2.${index + 1}`));
      return undefined;
    }
    const lan = new Network(simulation, `lan${index}`, 1);
    peer.host.attach(lan, IpAddress.from(`10.${index}.0.2`));
    return new Nat(kind, lan, internet, IpAddress.from(`192.0.2.${index + 1}`));
  });
  client.start();
  gateway.start();
  return { simulation, internet, client, gateway, nats };
}

export function gather({ internet, client, gateway, nats }: World, withRelays: boolean): void {
  for (const [index, peer] of [client, gateway].entries()) {
    peer.addHost();
    if (nats[index] !== undefined) peer.addReflexive(internet);
    if (withRelays) peer.addRelayed(internet, `198.51.100.${index + 1}:5000${index}`);
  }
}

export function bothConnected({ client, gateway }: World): () => boolean {
  return () => client.agent.state === "connected" && gateway.agent.state === "connected";
}
