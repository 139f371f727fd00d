/**
 * A client's way to the resolvers of its machine and beyond, past its own tunnel: by UDP sockets with the mark that
 * policy routing looks for, and by host routes for what cannot be marked (TCP and HTTPS of the runtime).
 */

import type { Platform } from "../ffi/platform.ts";
import type { Duration } from "../lib/base/time.ts";
import type { DnsServer } from "../lib/dns/sentinels.ts";
import type { UpstreamOutcome } from "../lib/dns/upstream.ts";
import type { ClientHost } from "./client_host.ts";
import { type HostLookup, systemLookup } from "./host_lookup.ts";
import type { Loop } from "./loop.ts";
import { loopbackUdp } from "./loopback_udp.ts";
import { markedUdp } from "./marked_udp.ts";
import { connectPlainTcp, UpstreamDns } from "./upstream_dns.ts";
import { upstreamLookup } from "./upstream_lookup.ts";

/** What the way leads through. */
export interface ClientUpstreamOptions {
  readonly platform: Pick<Platform, "bindUdp">;
  readonly host: Pick<ClientHost, "bypass" | "localPorts" | "resolvers">;
  /** Reads the sockets. */
  readonly loop: Loop;
  /** SO_MARK of the sockets. */
  readonly mark: number;
}

export class ClientUpstream {
  /** Looks names up at the machine's own resolvers. */
  readonly lookup: HostLookup;
  readonly #dns: UpstreamDns;

  constructor({ platform, host, loop, mark }: ClientUpstreamOptions) {
    const udp = markedUdp(platform, loop, mark, host.localPorts);
    this.#dns = new UpstreamDns({
      sockets: {
        // The local resolver of the machine listens where no rule leads into the tunnel.
        udp: {
          exchange: (payload, remote, accept, signal) =>
            (remote.ip.isLoopback ? loopbackUdp : udp).exchange(payload, remote, accept, signal),
        },
        connectTcp: async (remote, signal) => {
          await host.bypass.use([remote.ip]);
          return await connectPlainTcp(remote, signal);
        },
      },
      lookup: async (name) => {
        const addresses = await this.lookup(name);
        await host.bypass.use(addresses);
        return addresses;
      },
    });
    this.lookup = upstreamLookup({
      dns: this.#dns,
      resolvers: () => host.resolvers,
      fallback: systemLookup,
    });
  }

  /** Asks `server` and returns how it ended; never throws. The answer has the id of `message`. */
  ask(
    server: DnsServer,
    transport: "udp" | "tcp",
    message: Uint8Array,
    timeout: Duration,
  ): Promise<UpstreamOutcome> {
    return this.#dns.ask(server, transport, message, timeout);
  }

  /** Ends everything in flight with a failure. */
  close(): void {
    this.#dns.close();
  }
}
