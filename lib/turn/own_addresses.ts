/** Our own addresses on the way to a relay, as its answers to BINDING requests tell them: one of each family. */

import type { Family, SocketAddress } from "../base/ip.ts";
import type { AllocationEvent } from "./allocation_event.ts";

export class OwnAddresses {
  readonly #hosts = new Map<Family, SocketAddress>();
  readonly #mapped = new Map<Family, SocketAddress>();

  /** Returns our own address of `family` from which the relay was reached. */
  host(family: Family): SocketAddress | undefined {
    return this.#hosts.get(family);
  }

  /** Returns our address of `family` as the relay sees it; equal to the host address where there is no NAT. */
  mapped(family: Family): SocketAddress | undefined {
    return this.#mapped.get(family);
  }

  /** Takes an answer that came to `local` and says that we are `mapped`; returns what is new about that. */
  learn(local: SocketAddress, mapped: SocketAddress): AllocationEvent[] {
    const { family } = local;
    const news: AllocationEvent[] = [];
    if (mapped.family !== family) return news;
    if (!local.ip.isUnspecified && this.#hosts.get(family)?.key !== local.key) {
      this.#hosts.set(family, local);
      news.push({ type: "host", local });
    }
    if (this.#mapped.get(family)?.key === mapped.key) return news;
    this.#mapped.set(family, mapped);
    if (mapped.key !== local.key) news.push({ type: "serverReflexive", mapped, base: local });
    return news;
  }
}
