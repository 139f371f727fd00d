/** A portal, relays, gateways and a client on a simulated internet, all of them the real machines. */

import assert from "node:assert/strict";
import type { CryptoProvider } from "../../lib/base/crypto.ts";
import { IpAddress, type SocketAddress } from "../../lib/base/ip.ts";
import type { Duration, Instant } from "../../lib/base/time.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";
import { ClientRole } from "./client_role.ts";
import { GatewayRole } from "./gateway_role.ts";
import type { Host } from "./host.ts";
import { Nat, type NatKind } from "./nat.ts";
import { type Filter, Network } from "./network.ts";
import { SimPortal } from "./portal.ts";
import { RelayRole } from "./relay_role.ts";
import { Simulation } from "./simulation.ts";

const SEED: SeedInput = {
  account: { slug: "acme", search_domain: "corp.example" },
  sites: [{ name: "Paris" }],
  actors: [{ name: "Ada", type: "account_admin_user", email: "ada@corp.example" }],
  resources: [
    { name: "Wiki", type: "dns", address: "*.wiki.corp.example", site: "Paris" },
    { name: "Net", type: "cidr", address: "10.1.0.0/16", site: "Paris" },
    { name: "Web", type: "cidr", address: "10.2.0.0/16", site: "Paris", filters: ["udp/443"] },
  ],
  policies: [
    { group: "Everyone", resource: "Wiki" },
    { group: "Everyone", resource: "Net" },
    { group: "Everyone", resource: "Web" },
  ],
  tokens: [
    { kind: "client", actor: "Ada", token: "ada-token" },
    { kind: "gateway", site: "Paris", token: "paris-token" },
    { kind: "relay", token: "relay-token" },
  ],
};

/** What gateways can resolve. */
const NAMES: ReadonlyMap<string, readonly string[]> = new Map([
  ["main.wiki.corp.example", ["10.9.0.1"]],
  ["six.wiki.corp.example", ["2001:db8::9"]],
]);

/** The client's on the internet, or its router's, until it moves. */
const CLIENT_NUMBER = 2;
const CLIENT_ADDRESS = IpAddress.from(`192.0.2.${CLIENT_NUMBER}`);

export interface WorldOptions {
  readonly seed?: number;
  readonly clientNat?: NatKind | undefined;
  readonly gatewayNat?: NatKind | undefined;
  readonly gateways?: number;
  readonly relays?: number;
  readonly account?: Partial<SeedInput["account"]>;
  /** What carries the data of client and gateways; noble by default. */
  readonly crypto?: CryptoProvider;
}

export class World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly portal: SimPortal;
  readonly client: ClientRole;
  readonly gateways: GatewayRole[] = [];
  readonly relays: RelayRole[] = [];
  readonly #options: WorldOptions;
  #clientNat: Nat | undefined;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.simulation = new Simulation(options.seed ?? 1);
    this.internet = new Network(this.simulation, "internet", 10);
    this.portal = new SimPortal(this.simulation, {
      ...SEED,
      account: { ...SEED.account, ...options.account },
    });
    for (let index = 0; index < (options.relays ?? 1); index++) this.#startRelay(index);
    for (let index = 0; index < (options.gateways ?? 1); index++) this.#startGateway(index);
    const { simulation, portal } = this;
    this.client = new ClientRole({
      simulation,
      portal,
      token: "ada-token",
      name: "laptop",
      crypto: options.crypto,
    });
    this.#clientNat = this.#attach(this.client.host, options.clientNat, CLIENT_NUMBER);
    this.client.start();
    simulation.runFor(2000);
    assert(this.client.status.isPortalJoined, "the client never joined");
  }

  get now(): Instant {
    return this.simulation.now;
  }

  /** Sends `text` to an echo service every 250 ms until it comes back; returns how long that took. */
  echo(destination: string, text: string, limit: Duration = 20_000): Duration {
    const { client, gateways, simulation } = this;
    const started = this.now;
    while (this.now - started < limit) {
      client.say(destination, text);
      const took = simulation.runUntil(() => client.heard(destination, text), 250);
      if (took !== undefined) return this.now - started;
    }
    const facts = { client: client.events, gateways: gateways.map(({ events }) => events) };
    assert.fail(`${destination} never answered "${text}": ${Deno.inspect(facts)}`);
  }

  /** Returns the gateway that carries `resourceName` now. */
  gatewayOf(resourceName: string): GatewayRole {
    const { resources, gateways } = this.client.status;
    const id = resources.find(({ name }) => name === resourceName)?.gatewayId;
    const address = gateways.find((gateway) => gateway.id === id)?.ipv4;
    const found = this.gateways.find(({ status }) => address && status.addresses?.ipv4.equals(address));
    assert(found !== undefined, `no gateway carries ${resourceName}`);
    return found;
  }

  /** Ends a gateway, by a goodbye or by pulling its cable, and starts it again with another key. */
  restartGateway(index: number, politely: boolean): void {
    const gateway = this.gateways[index]!;
    if (politely) gateway.shutdown();
    else gateway.crash();
    this.simulation.schedule(3000, () => {
      if (this.gateways[index] === gateway) this.#startGateway(index);
    });
  }

  /** Moves the client to another address on the internet. */
  moveClient(ip: string): void {
    this.client.host.detach(this.internet);
    this.client.host.attach(this.internet, IpAddress.from(ip));
  }

  /** Cuts the client off where nobody on its machine can see it; returns how to mend that. */
  cutClient(): () => void {
    const { internet, client: { link } } = this;
    const isOurs = ({ ip }: SocketAddress) => ip.equals(CLIENT_ADDRESS);
    const filter: Filter = (source, destination) => !isOurs(source) && !isOurs(destination);
    internet.filters.add(filter);
    link.isCut = true;
    return () => {
      internet.filters.delete(filter);
      link.isCut = false;
    };
  }

  /** The router before the client forgets its mappings. */
  rebootClientNat(): void {
    assert(this.#clientNat !== undefined, "the client is behind no NAT");
    this.#clientNat.reboot();
  }

  #startRelay(index: number): void {
    const relay = new RelayRole(this.portal, "relay-token", IpAddress.from(`198.51.100.${index + 1}`));
    relay.host.attach(this.internet, relay.ip);
    relay.start();
    this.relays.push(relay);
  }

  #startGateway(index: number): void {
    const { simulation, portal } = this;
    const gateway = new GatewayRole(
      { simulation, portal, token: "paris-token", name: `gateway${index}`, crypto: this.#options.crypto },
      NAMES,
    );
    this.#attach(gateway.host, this.#options.gatewayNat, 10 + index);
    gateway.start();
    this.gateways[index] = gateway;
  }

  #attach(host: Host, kind: NatKind | undefined, number: number): Nat | undefined {
    const address = IpAddress.from(`192.0.2.${number}`);
    if (kind === undefined) {
      host.attach(this.internet, address);
      return undefined;
    }
    const lan = new Network(this.simulation, `lan${number}`, 1);
    host.attach(lan, IpAddress.from(`10.${number}.0.2`));
    return new Nat(kind, lan, this.internet, address);
  }
}
