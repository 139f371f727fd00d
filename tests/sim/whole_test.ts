/**
 * Client, gateway, relays and portal run whole over a simulated internet. Every run replays from its seed, which stands
 * in the message of a failure.
 */

import assert from "node:assert/strict";
import { IpAddress } from "../../lib/base/ip.ts";
import { dnsRecords, encodeDnsQuery, RecordType } from "../../lib/wire/dns.ts";
import { buildEcho, parseEcho } from "../../lib/wire/icmp.ts";
import type { IpPacket } from "../../lib/wire/ip.ts";
import { buildTcp, TcpFlag, tcpFlags } from "../../lib/wire/tcp.ts";
import { buildUdp, udpPayload } from "../../lib/wire/udp.ts";
import { checksumsHold } from "../lib/wire/packets.ts";
import { Nat, type NatKind } from "./nat.ts";
import { Network } from "./network.ts";
import { SimPortal } from "./portal.ts";
import { ClientRole, GatewayRole, RelayRole } from "./roles.ts";
import { Simulation } from "./simulation.ts";

const SEED = {
  account: { slug: "acme" },
  sites: [{ name: "Site" }],
  actors: [{ name: "Ada" }],
  resources: [
    { name: "Web", type: "dns", address: "*.example.com", site: "Site" },
    { name: "Net", type: "cidr", address: "172.21.0.0/16", site: "Site" },
  ],
  policies: [{ group: "Everyone", resource: "Web" }, { group: "Everyone", resource: "Net" }],
  tokens: [
    { kind: "client", actor: "Ada", token: "client-token" },
    { kind: "gateway", site: "Site", token: "gateway-token" },
    { kind: "relay", token: "relay-token" },
  ],
} as const;

const WEB_4 = IpAddress.from("172.20.0.10");
const WEB_6 = IpAddress.from("fd20::10");
const NET = IpAddress.from("172.21.0.5");

interface WorldOptions {
  readonly client?: NatKind;
  readonly gateway?: NatKind;
  readonly seed?: number;
  readonly loss?: number;
}

class World {
  readonly simulation: Simulation;
  readonly internet: Network;
  readonly portal: SimPortal;
  readonly relay: RelayRole;
  readonly gateway: GatewayRole;
  readonly client: ClientRole;
  #nextPort = 40_000;

  constructor(options: WorldOptions = {}) {
    const simulation = new Simulation(options.seed ?? 1);
    this.simulation = simulation;
    this.internet = new Network(simulation, "internet", 10);
    this.internet.loss = options.loss ?? 0;
    this.portal = new SimPortal(simulation, SEED as never);
    this.relay = new RelayRole(simulation, this.portal, "relay-token", IpAddress.from("198.51.100.1"));
    this.relay.host.attach(this.internet, IpAddress.from("198.51.100.1"));
    this.gateway = new GatewayRole(simulation, this.portal, "gateway-token", "gateway");
    this.client = new ClientRole(simulation, this.portal, "client-token", "client");
    this.#attach(this.client, 1, options.client);
    this.#attach(this.gateway, 2, options.gateway);
    this.gateway.names.set("web.example.com", [WEB_4, WEB_6]);
    this.gateway.serve = serve;
    for (const role of [this.relay, this.gateway, this.client]) role.start();
    const took = simulation.runUntil(() => this.client.config !== undefined, 5000);
    assert(took !== undefined, "the client never got its addresses");
    simulation.runFor(500);
  }

  /** Asks for the addresses of `name` as an application does. */
  resolve(name: string, type: "a" | "aaaa" = "a"): IpAddress[] {
    const { config } = this.client;
    const sentinel = config!.dns.sentinels.find(({ family }) => family === 4)!;
    this.client.take();
    this.client.send(buildUdp({
      source: config!.ipv4,
      destination: sentinel,
      sourcePort: this.#nextPort++,
      destinationPort: 53,
      payload: encodeDnsQuery(1, name, RecordType[type])!,
    }));
    const [answer] = this.client.take();
    const message = answer && udpPayload(answer);
    assert(message !== undefined, `no answer for ${name}`);
    return dnsRecords(message)!.map(({ dataOffset, dataLength }) =>
      IpAddress.fromBytes(message, dataOffset, dataLength)
    );
  }

  /** Opens a TCP connection to `destination`; returns how long it took, undefined if it did not within `limit`. */
  connect(destination: IpAddress, limit: number): number | undefined {
    const { client, simulation } = this;
    const source = destination.family === 4 ? client.config!.ipv4 : client.config!.ipv6;
    const sourcePort = this.#nextPort++;
    const start = simulation.now;
    const isAnswer = (packet: IpPacket) =>
      packet.transport === "tcp" && packet.destinationPort === sourcePort &&
      packet.source.equals(destination) && (tcpFlags(packet) & TcpFlag.syn) !== 0;
    client.take();
    // As TCP does, but not slower than announcements of proxy addresses are repeated.
    for (let wait = 1000; simulation.now - start < limit; wait = 2000) {
      client.send(buildTcp({
        source,
        destination,
        sourcePort,
        destinationPort: 443,
        sequence: 1,
        acknowledgment: 0,
        flags: TcpFlag.syn,
        window: 1000,
      }));
      const left = Math.min(wait, start + limit - simulation.now);
      if (simulation.runUntil(() => client.packets.some(isAnswer), left) === undefined) continue;
      assert(client.take().every(({ bytes }) => checksumsHold(bytes)), "wrong checksums");
      return simulation.now - start;
    }
    return undefined;
  }

  assertReachable(destination: IpAddress, limit = 10_000): number {
    const took = this.connect(destination, limit);
    assert(took !== undefined, `${destination} is not reachable; ${JSON.stringify(this.facts())}`);
    return took;
  }

  facts(): unknown {
    const { now } = this.simulation;
    return {
      client: this.client.events.map(({ type }) => type),
      gateway: this.gateway.events.map(({ type }) => type),
      drops: this.gateway.session.status(now).drops,
    };
  }

  has(type: ReturnType<World["gateway"]["events"]["map"]>[number] | string): boolean {
    return this.gateway.events.some((event) => event.type === type);
  }

  #attach(role: ClientRole | GatewayRole, index: number, nat: NatKind | undefined): void {
    const outside = IpAddress.from(`192.0.2.${index}`);
    if (nat === undefined) return void role.host.attach(this.internet, outside);
    const lan = new Network(this.simulation, `lan${index}`, 1);
    role.host.attach(lan, IpAddress.from(`10.${index}.0.2`));
    new Nat(nat, lan, this.internet, outside);
  }
}

/** The site: whoever is asked answers. */
function serve(packet: IpPacket): Uint8Array | undefined {
  const addresses = { source: packet.destination, destination: packet.source };
  const echo = parseEcho(packet);
  if (echo !== undefined) return buildEcho({ ...addresses, ...echo, kind: "reply" });
  if (packet.transport !== "tcp") return undefined;
  return buildTcp({
    ...addresses,
    sourcePort: packet.destinationPort,
    destinationPort: packet.sourcePort,
    sequence: 100,
    acknowledgment: 2,
    flags: TcpFlag.syn | TcpFlag.ack,
    window: 1000,
  });
}

Deno.test("whole network: a fresh client reaches a DNS resource by name, IPv4 and IPv6, within a second", () => {
  const world = new World();
  const [four] = world.resolve("web.example.com");
  const took = world.assertReachable(four!);
  assert(took < 1000, `${took} ms`);
  const [six] = world.resolve("web.example.com", "aaaa");
  world.assertReachable(six!);
  assert(world.assertReachable(four!) < 100);
});

Deno.test("whole network: a fresh client reaches a network resource", () => {
  const world = new World();
  const took = world.assertReachable(NET);
  assert(took < 1000, `${took} ms`);
});

Deno.test("whole network: all kinds of NAT on both sides", () => {
  const kinds = [undefined, "full-cone", "port-restricted", "symmetric"] as const;
  for (const client of kinds) {
    for (const gateway of kinds) {
      const options = { ...(client && { client }), ...(gateway && { gateway }) };
      const world = new World(options);
      const took = world.connect(NET, 5000);
      assert(took !== undefined, `client ${client}, gateway ${gateway}: ${JSON.stringify(world.facts())}`);
    }
  }
});

Deno.test("whole network: a name that does not exist in the site gets an error, not silence", () => {
  const world = new World();
  const [proxy] = world.resolve("nothing.example.com");
  assert.equal(world.connect(proxy!, 3000), undefined);
  assert(world.client.take().some((packet) => packet.isIcmpError), JSON.stringify(world.facts()));
});

Deno.test("whole network: access ends when its policy is removed, and comes back with it", () => {
  const world = new World();
  const { portal, simulation } = world;
  world.assertReachable(NET);
  const policies = portal.portal.directory.all("policies");
  portal.use((it) =>
    it.change((directory) => policies.forEach(({ id }) => directory.remove("policies", id)), simulation.now)
  );
  simulation.runFor(500);
  assert.equal(world.connect(NET, 3000), undefined);
  assert(world.has("access-revoked") && world.has("client-removed"), JSON.stringify(world.facts()));
  portal.use((it) =>
    it.change((directory) => policies.forEach((policy) => directory.put("policies", policy)), simulation.now)
  );
  simulation.runFor(500);
  world.assertReachable(NET);
});

Deno.test("whole network: the portal restarts without anybody noticing", () => {
  const world = new World();
  world.assertReachable(NET);
  world.portal.restart();
  assert(world.assertReachable(NET) < 100);
  world.simulation.runFor(30_000);
  assert(world.client.link.isJoined && world.gateway.link.isJoined);
  assert(world.assertReachable(NET) < 100, JSON.stringify(world.facts()));
  assert(!world.has("access-revoked"), "the new portal process still knows what was granted");
});

Deno.test("whole network: an hour without the portal does no harm to what was granted", () => {
  const world = new World();
  world.assertReachable(NET);
  world.portal.isCut = true;
  world.simulation.runFor(3_600_000);
  world.assertReachable(NET, 20_000);
});

Deno.test("whole network: the gateway stops, the client turns to its successor", () => {
  const world = new World();
  world.assertReachable(NET);
  world.gateway.session.shutdown(world.simulation.now);
  world.gateway.host.drain();
  world.simulation.runFor(200);
  const lost = world.client.events.find(({ type }) => type === "gateway-lost");
  assert(lost?.type === "gateway-lost" && lost.reason === "goodbye");
  world.assertReachable(NET, 20_000);
});

Deno.test("whole network: the client says goodbye, the gateway forgets it", () => {
  const world = new World();
  world.assertReachable(NET);
  world.client.session.shutdown(world.simulation.now);
  world.client.host.drain();
  world.simulation.runFor(200);
  assert.deepEqual(world.gateway.session.status(world.simulation.now).clients, []);
});

Deno.test("whole network: an hour of silence ends nothing", () => {
  const world = new World({ client: "port-restricted", gateway: "port-restricted" });
  world.assertReachable(NET);
  world.simulation.runFor(3_600_000);
  world.assertReachable(NET, 5000);
});

Deno.test("whole network: works through a fifth of all datagrams lost, whatever the seed", () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = new World({ seed, loss: 0.2, client: "port-restricted", gateway: "symmetric" });
    const [proxy] = world.resolve("web.example.com");
    const took = world.connect(proxy!, 60_000);
    assert(took !== undefined, `seed ${seed}: ${JSON.stringify(world.facts())}`);
  }
});
