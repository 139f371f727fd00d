/** A relay without a portal, for tests of nodes: a TURN server and its sockets. */

import { IpAddress, SocketAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { WallClock } from "../../lib/base/time.ts";
import type { RelayConfig } from "../../lib/node/relay_config.ts";
import { relayPassword, relayUsername } from "../../lib/turn/auth.ts";
import { TurnServer } from "../../lib/turn/server.ts";
import { Host } from "./host.ts";
import type { Network } from "./network.ts";
import type { Simulation } from "./simulation.ts";
import { TurnMachine } from "./turn_machine.ts";

export class SimRelay {
  readonly id: string;
  readonly host: Host;
  readonly v4: IpAddress | undefined;
  readonly v6: IpAddress | undefined;
  #generation = 0;
  #server!: TurnServer;

  /** `addresses`: at most one of each family. */
  constructor(simulation: Simulation, network: Network, id: string, ...addresses: string[]) {
    this.id = id;
    this.host = new Host(simulation, 3478);
    const ips = addresses.map((text) => IpAddress.from(text));
    for (const ip of ips) this.host.attach(network, ip);
    this.v4 = ips.find(({ family }) => family === 4);
    this.v6 = ips.find(({ family }) => family === 6);
    this.restart();
    this.host.run(new TurnMachine(() => this.#server));
  }

  get server(): TurnServer {
    return this.#server;
  }

  /** Forgets everything and takes another secret. */
  restart(): void {
    const { simulation } = this.host;
    this.#generation++;
    this.#server = new TurnServer({
      publicAddress: { 4: this.v4, 6: this.v6 },
      listenPort: 3478,
      lowestPort: 49152,
      highestPort: 65535,
      secret: this.#secret,
      rng: simulation.rng,
      now: simulation.now,
      wallClock: wallClock(),
      log: silentLog,
    });
  }

  /** Returns what the portal would tell the peer called `name` about this relay. */
  configs(name: string): RelayConfig[] {
    const expiresAt = 2_000_000_000;
    const username = relayUsername(expiresAt, name);
    const password = relayPassword(expiresAt, this.#secret, name);
    return [this.v4, this.v6].filter((ip) => ip !== undefined).map((ip) => ({
      id: this.id,
      addr: new SocketAddress(ip, 3478),
      username,
      password,
      expiresAt,
    }));
  }

  get #secret(): string {
    return `secret of ${this.id}, generation ${this.#generation}`;
  }
}

/** The wall clock of all simulations. */
export function wallClock(): WallClock {
  return new WallClock(0, 1_800_000_000_000);
}
