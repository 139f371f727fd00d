/**
 * A client between networks: a stream through its tunnel that has to go on, and what to look at after each roam. Starts
 * in the network "wifi"; "ethernet" is plugged in but not used.
 */

import assert from "node:assert/strict";
import type { StatusDocument } from "../../../lib/control/api.ts";
import { dig } from "./dig.ts";
import { fz } from "./fz.ts";
import type { ClientUplink, Network, Role } from "./network.ts";
import { eventually } from "./on_network.ts";
import { Stream } from "./stream.ts";

export class Roamer {
  readonly network: Network;
  readonly role: Role;
  readonly wifi: ClientUplink;
  readonly ethernet: ClientUplink;
  readonly stream: Stream;
  #resets = 0;

  private constructor(network: Network, role: Role, uplinks: ClientUplink[], stream: Stream) {
    this.network = network;
    this.role = role;
    [this.wifi, this.ethernet] = uplinks as [ClientUplink, ClientUplink];
    this.stream = stream;
  }

  static async start(network: Network, env: Record<string, string> = {}): Promise<Roamer> {
    const uplinks = [
      await network.addClientUplink("wifi", 31),
      await network.addClientUplink("ethernet", 32),
    ];
    await network.client.must(["ip", "link", "delete", "eth0"]);
    await use(network, uplinks[0]!);
    // A plain file that the network's manager writes and we only read.
    const role = await network.startClient({ dnsControl: "disabled", env });
    return new Roamer(network, role, uplinks, await Stream.start(network, { keepAlive: false }));
  }

  /** Makes `uplink` the way out and its resolver the machine's, as a DHCP client does. */
  async use(uplink: ClientUplink, metric?: number): Promise<void> {
    await use(this.network, uplink, metric);
  }

  /** How often the client has started over. */
  get resets(): number {
    return this.role.events.all().filter(({ event }) => event === "network-changed").length;
  }

  async status(): Promise<StatusDocument> {
    const { stdout, stderr, code } = await fz(this.network, "status", "--json");
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  /** Waits until the client has started over since the last call, `least` to `most` times, and sees that all is well. */
  async hasRoamed(uplink: ClientUplink, least = 1, most = 1): Promise<void> {
    await eventually(() => assert.ok(this.resets >= this.#resets + least, "it did not start over"));
    await this.stream.advance(10);
    assert.ok(this.resets <= this.#resets + most, `it started over ${this.resets - this.#resets} times`);
    this.#resets = this.resets;
    await this.isWell(uplink);
  }

  /** Asserts that the client has not started over since the last call, and that the stream goes on. */
  async hasStayed(): Promise<void> {
    await this.stream.advance(10);
    assert.equal(this.resets, this.#resets);
  }

  /** Asserts that the session is sound and uses `uplink` for everything. */
  async isWell(uplink: ClientUplink): Promise<void> {
    const status = await eventually(async () => {
      const status = await this.status();
      assert.equal(status.state, "connected", JSON.stringify(status.problem));
      assert.ok(status.portal.connected);
      assert.deepEqual(status.gateways.map(({ state }) => state), ["connected"]);
      assert.deepEqual(status.relays.map(({ state }) => state), ["allocated"]);
      assert.deepEqual(status.dns?.systemResolvers, [uplink.gateway]);
      return status;
    });
    assert.equal(status.underlay?.resets, this.resets);
    assert.ok(status.underlay?.hasPath);
    const sentinel = status.dns?.sentinels[0]?.address;
    assert.ok(sentinel);
    const { data } = await dig(this.network.client, `@${sentinel}`, "where.test", "TXT");
    assert.deepEqual(data, [`"from ${uplink.inside.name}"`]);
    assert.match(await this.network.curl("http://172.20.0.10/"), /hello/);
  }
}

async function use(network: Network, uplink: ClientUplink, metric = 100): Promise<void> {
  const { client } = network;
  await client.must([
    ...["ip", "route", "replace", "default", "via", uplink.gateway, "dev", uplink.inside.name],
    ...["metric", String(metric)],
  ]);
  await client.setResolvers([uplink.gateway]);
}
