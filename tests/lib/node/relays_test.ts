/** Rules: data-plane.md §3.1, §3.9. */

import assert from "node:assert/strict";
import { SocketAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import type { RelayConfig } from "../../../lib/node/relay_config.ts";
import { Relays, type RelaysEvent } from "../../../lib/node/relays.ts";
import { Network } from "../../sim/network.ts";
import { SimRelay } from "../../sim/relay.ts";
import { Simulation } from "../../sim/simulation.ts";

/** `Relays` at 192.0.2.1 against relays at the latencies given (one way). */
function run(latencies: readonly number[], seed = 1): { relays: Relays; simulation: Simulation } {
  const simulation = new Simulation(seed);
  const local = SocketAddress.from("192.0.2.1:52625");
  const relays = new Relays(seededRng(seed), silentLog);
  const drain = () => {
    for (let next = relays.pollDatagram(); next !== undefined; next = relays.pollDatagram()) {
      networks.get(next.remote.key)?.send(local, next.remote, next.payload);
    }
  };
  const networks = new Map<unknown, Network>();
  const configs = latencies.flatMap((latency, index) => {
    const network = new Network(simulation, `net${index}`, latency);
    const relay = new SimRelay(simulation, network, `relay${index}`, `198.51.100.${index + 1}`);
    network.attach(local.ip, (source, _destination, payload) => {
      const allocation = relays.at(source);
      if (allocation !== undefined) {
        relays.handleDatagram(allocation, local, source, payload, simulation.now);
      }
      drain();
    });
    const config = relay.configs("us");
    networks.set(config[0]!.addr.key, network);
    return config;
  });
  relays.upsert(configs, simulation.now);
  drain();
  simulation.runFor(3000);
  return { relays, simulation };
}

function chosen(latencies: readonly number[]): Set<string> {
  const { relays } = run(latencies);
  return new Set(Array.from({ length: 200 }, () => relays.select()!.id));
}

function config(id: string, addr: string, password = "p"): RelayConfig {
  return { id, addr: SocketAddress.from(addr), username: "u", password, expiresAt: 2_000_000_000 };
}

function events(relays: Relays): RelaysEvent["type"][] {
  const types: RelaysEvent["type"][] = [];
  for (let event = relays.pollEvent(); event !== undefined; event = relays.pollEvent()) {
    types.push(event.type);
  }
  return types;
}

Deno.test("Relays.select takes any of two relays within 1.5 times the best round trip", () => {
  assert.deepEqual(chosen([10, 14]), new Set(["relay0", "relay1"]));
  assert.deepEqual(chosen([10, 16]), new Set(["relay0"]));
});

Deno.test("Relays.select leaves out outliers among three and more", () => {
  assert.deepEqual(chosen([10, 11, 12, 80]), new Set(["relay0", "relay1", "relay2"]));
});

Deno.test("Relays.select has nothing to offer before there is an allocation", () => {
  const relays = new Relays(seededRng(1), silentLog);
  assert.equal(relays.select(), undefined);
  assert.equal(relays.hasUsable, false);
  relays.upsert([config("a", "198.51.100.1:3478")], 0);
  assert.equal(relays.select(), undefined);
  assert.equal(relays.hasUsable, true);
});

Deno.test("Relays merges two addresses with one id to one relay", () => {
  const relays = new Relays(seededRng(1), silentLog);
  relays.upsert([config("a", "198.51.100.1:3478"), config("a", "[2001:db8::1]:3478")], 0);
  assert.equal(relays.status().length, 1);
  assert.equal(
    relays.at(SocketAddress.from("198.51.100.1:3478")),
    relays.at(SocketAddress.from("[2001:db8::1]:3478")),
  );
});

Deno.test("Relays.upsert keeps a relay with known credentials and replaces one with others", () => {
  const relays = new Relays(seededRng(1), silentLog);
  const address = SocketAddress.from("198.51.100.1:3478");
  relays.upsert([config("a", "198.51.100.1:3478")], 0);
  const first = relays.at(address);
  relays.upsert([config("a", "198.51.100.1:3478")], 1);
  assert.equal(relays.at(address), first);
  relays.upsert([config("a", "198.51.100.1:3478", "other")], 2);
  assert.notEqual(relays.at(address), first);
  assert.notEqual(relays.at(address), undefined);
});

Deno.test("Relays.remove withdraws addresses and gives the allocation back", () => {
  const { relays, simulation } = run([10]);
  assert.deepEqual(events(relays), ["candidate", "allocated"]);
  const relayed = relays.status()[0]!.relayedAddresses[0]!;
  assert.notEqual(relays.ownerOf(relayed), undefined);
  relays.remove(["relay0"], simulation.now);
  assert.deepEqual(events(relays), ["lost"]);
  assert.equal(relays.ownerOf(relayed), undefined);
  assert.notEqual(relays.pollDatagram(), undefined);
  assert.equal(relays.hasUsable, false);
});

Deno.test("Relays.restart asks the same relays anew and forgets what they said", () => {
  const { relays, simulation } = run([10]);
  relays.restart(simulation.now);
  assert.deepEqual(relays.ownCandidates(), []);
  assert.equal(relays.select(), undefined);
  assert.equal(relays.hasUsable, true);
  assert.notEqual(relays.pollDatagram(), undefined);
});
