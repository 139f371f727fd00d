/** A portal, a relay, a client and gateways on a simulated internet, all of them the real machines. */

import assert from "node:assert/strict";
import { IpAddress } from "../../lib/base/ip.ts";
import type { SeedInput } from "../../lib/portal/seed.ts";
import { Nat, type NatKind } from "../sim/nat.ts";
import { Network } from "../sim/network.ts";
import { SimRelay } from "../sim/relay.ts";
import { Simulation } from "../sim/simulation.ts";
import { SimClient, SimGateway, type World } from "./peers.ts";
import { PortalLink, SimPortal } from "./portal_link.ts";

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

export interface ScenarioOptions {
  readonly seed?: number;
  readonly clientNat?: NatKind;
  readonly gatewayNat?: NatKind;
  readonly gateways?: number;
  readonly relays?: number;
  readonly account?: Partial<SeedInput["account"]>;
}

export class Scenario implements World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly portal: SimPortal;
  readonly names = new Map([["main.wiki.corp.example", ["10.9.0.1"]], ["six.wiki.corp.example", [
    "2001:db8::9",
  ]]]);
  readonly client: SimClient;
  readonly gateways: SimGateway[] = [];
  readonly relays: SimRelay[] = [];
  readonly relayLinks: PortalLink[] = [];
  /** Gateways' first, the client's last. */
  readonly nats: Nat[] = [];
  readonly #gatewayNat: NatKind | undefined;

  constructor(options: ScenarioOptions = {}) {
    this.simulation = new Simulation(options.seed ?? 1);
    this.internet = new Network(this.simulation, "internet", 10);
    this.portal = new SimPortal(this.simulation, {
      ...SEED,
      account: { ...SEED.account, ...options.account },
    });
    for (let index = 0; index < (options.relays ?? 1); index++) this.#addRelay(index);
    this.#gatewayNat = options.gatewayNat;
    for (let index = 0; index < (options.gateways ?? 1); index++) this.#startGateway(index);
    this.client = new SimClient(this, "ada-token");
    this.#attach(this.client.host, options.clientNat, 2);
    this.client.host.run(this.client);
    this.simulation.runFor(2000);
    assert(this.client.session.status(this.simulation.now).isPortalJoined, "the client never joined");
  }

  get now(): number {
    return this.simulation.now;
  }

  get status() {
    return this.client.session.status(this.now);
  }

  /** Sends `text` to an echo service every 250 ms until it comes back; returns how long that took. */
  echo(destination: string, text: string, limit = 20_000): number {
    const started = this.now;
    while (this.now - started < limit) {
      this.client.say(destination, text);
      const took = this.simulation.runUntil(() => this.client.heard(destination, text), 250);
      if (took !== undefined) return this.now - started;
    }
    assert.fail(`${destination} never answered "${text}": ${this.client.eventTypes().join(" ")}`);
  }

  /** Returns the gateway that carries `resourceName` now. */
  gatewayOf(resourceName: string): SimGateway {
    const id = this.status.resources.find(({ name }) => name === resourceName)?.gatewayId;
    const device = [...this.portal.portal.presence.gateways.values()].find(({ deviceId }) => deviceId === id);
    const found = this.gateways.find(({ session }) => {
      const ipv4 = session.status(this.now).addresses?.ipv4.toString();
      return ipv4 === this.status.gateways.find((gateway) => gateway.id === id)?.ipv4.toString();
    });
    assert(found !== undefined, `no gateway carries ${resourceName} (${device?.deviceId})`);
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

  #addRelay(index: number): void {
    const address = `198.51.100.${index + 1}`;
    const relay = new SimRelay(this.simulation, this.internet, `relay${index}`, address);
    this.relays.push(relay);
    this.relayLinks.push(
      new PortalLink(this.portal, {
        topic: "relay",
        path: "/relay/websocket",
        token: "relay-token",
        query: () => ({ ipv4: address, port: "3478" }),
        joinPayload: { stamp_secret: relay.secret },
        onEvent: () => {},
      }),
    );
  }

  #startGateway(index: number): void {
    const gateway = new SimGateway(this, `gateway${index}`, "paris-token");
    this.#attach(gateway.host, this.#gatewayNat, 10 + index);
    gateway.host.run(gateway);
    this.gateways[index] = gateway;
  }

  #attach(host: SimClient["host"], nat: NatKind | undefined, number: number): void {
    const address = IpAddress.from(`192.0.2.${number}`);
    if (nat === undefined) {
      host.attach(this.internet, address);
      return;
    }
    const lan = new Network(this.simulation, `lan${number}`, 1);
    host.attach(lan, IpAddress.from(`10.${number}.0.2`));
    this.nats.push(new Nat(nat, lan, this.internet, address));
  }
}
