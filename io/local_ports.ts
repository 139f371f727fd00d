/**
 * Ports of our own UDP sockets, told to the machine's network so that answers to them are not taken for spoofed: those
 * of peers for as long as they are open, those of a question until its answer is there.
 */

import type { HostNetwork } from "../ffi/platform.ts";

export class LocalPorts {
  readonly #network: Pick<HostNetwork, "setLocalPorts">;
  readonly #held = new Set<number>();
  #peers: readonly number[] = [];

  constructor(network: Pick<HostNetwork, "setLocalPorts">) {
    this.#network = network;
  }

  /** Replaces the ports of the sockets that peers are reached by. Resolves when the rules are in place. */
  async setPeers(ports: readonly number[]): Promise<void> {
    this.#peers = [...new Set(ports)];
    await this.#apply();
  }

  /** Adds the port of a socket that lives shortly. Resolves when the rule is in place, or would be one too many. */
  async hold(port: number): Promise<void> {
    if (this.#held.size >= MAX_HELD) return;
    this.#held.add(port);
    await this.#apply();
  }

  /** Takes back `hold`. */
  async release(port: number): Promise<void> {
    if (this.#held.delete(port)) await this.#apply();
  }

  /** A rule that is missing costs answers, nothing else; what fails is the network's to report. */
  async #apply(): Promise<void> {
    await this.#network.setLocalPorts([...new Set([...this.#peers, ...this.#held])]).catch(() => {});
  }
}

/** The kernel looks at rules one after the other, for every packet that it has no route for yet. */
const MAX_HELD = 64;
