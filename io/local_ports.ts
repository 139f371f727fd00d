/**
 * Ports of our own UDP sockets, told to the machine's network so that answers to them are not taken for spoofed: those
 * of peers for as long as they are open, those of a question until its answer is there. Of IPv4 only: the filter is of that, and
 * a socket of IPv6 may have the same port as another one (docs/decisions/0021-rules-not-copies.md).
 */

import type { HostNetwork } from "../ffi/platform.ts";
import type { SocketAddress } from "../lib/base/ip.ts";

export class LocalPorts {
  readonly #network: Pick<HostNetwork, "setLocalPorts">;
  readonly #held = new Set<number>();
  #peers: readonly number[] = [];

  constructor(network: Pick<HostNetwork, "setLocalPorts">) {
    this.#network = network;
  }

  /** Replaces those of the sockets that peers are reached by, by their addresses. Resolves when the rules are in place. */
  async setPeers(locals: readonly SocketAddress[]): Promise<void> {
    this.#peers = [...new Set(locals.filter(needsRule).map(({ port }) => port))];
    await this.#apply();
  }

  /** Adds the port of a socket that lives shortly. Resolves when the rule is in place, or would be one too many. */
  async hold(local: SocketAddress): Promise<void> {
    if (!needsRule(local) || this.#held.size >= MAX_HELD) return;
    this.#held.add(local.port);
    await this.#apply();
  }

  /** Takes back `hold`. */
  async release(local: SocketAddress): Promise<void> {
    if (needsRule(local) && this.#held.delete(local.port)) await this.#apply();
  }

  /** A rule that is missing costs answers, nothing else; what fails is the network's to report. */
  async #apply(): Promise<void> {
    await this.#network.setLocalPorts([...new Set([...this.#peers, ...this.#held])]).catch(() => {});
  }
}

function needsRule({ family }: SocketAddress): boolean {
  return family === 4;
}

/** The kernel looks at rules one after the other, for every packet that it has no route for yet. */
const MAX_HELD = 64;
