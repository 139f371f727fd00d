/**
 * Makes the machine a router for a TUN device: IP forwarding, and, if wanted, its own addresses in place of those from
 * the tunnel (nft(8)). Everything lives in one nftables table of ours and in settings that are put back.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { closeForwardChains, openForwardChains } from "./forward_chains.ts";
import { nft } from "./nft.ts";
import type { Setting } from "./sysctl.ts";
import { Sysctls } from "./sysctl.ts";

/** What is forwarded, and for whom. */
export interface ForwardingOptions {
  /** The TUN device. */
  readonly device: string;
  /**
   * Networks behind the device; their packets leave with an address of this machine. Empty: they stay as they are, and
   * the firewall is the administrator's own business.
   */
  readonly masqueraded: readonly IpNetwork[];
  readonly log: Log;
  /** For tests; default "/run/fz/gateway-settings.json". */
  readonly statePath?: string;
}

export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #sysctls: Sysctls;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#sysctls = new Sysctls({ statePath: options.statePath ?? STATE_PATH, log: options.log });
  }

  /** Throws a Fault ("privilege", "unexpected") if IPv4 cannot be forwarded or masqueraded. */
  async enable(): Promise<void> {
    const { device, masqueraded, log } = this.#options;
    const failed = await this.#sysctls.apply([
      // A router does not listen to other routers unless told to; without this the machine would lose its IPv6 route.
      ...await this.#keptAdvertisements(),
      { path: IPV4_FORWARDING, value: "1" },
      { path: IPV6_FORWARDING, value: "1" },
    ]);
    for (const { path } of failed) {
      if (path === IPV4_FORWARDING) {
        throw new Fault("privilege", "Cannot let this machine forward IPv4 packets", {
          next: "Run as root, or set net.ipv4.ip_forward=1 beforehand.",
        });
      }
      log.warn("cannot change a kernel setting", { path });
    }
    if (masqueraded.length === 0) return;
    await nft(masqueradeRules(device, masqueraded));
    await closeForwardChains();
    await openForwardChains(device, log);
  }

  /** Takes everything back, also what a killed process left. Never throws. */
  async undo(): Promise<void> {
    if (this.#options.masqueraded.length > 0) {
      for (const remove of [() => nft(REMOVE_TABLE), closeForwardChains]) {
        await remove().catch((error) => this.#options.log.warn("cannot remove nftables rules", { error }));
      }
    }
    await this.#sysctls.undo();
  }

  async #keptAdvertisements(): Promise<Setting[]> {
    const settings: Setting[] = [];
    try {
      for await (const { name } of Deno.readDir("/proc/sys/net/ipv6/conf")) {
        const path = `net/ipv6/conf/${name}/accept_ra`;
        if (await this.#sysctls.read(path) === "1") settings.push({ path, value: "2" });
      }
    } catch {
      // No IPv6 here.
    }
    return settings;
  }
}

/** The nftables table of ours. */
const NFT_TABLE = "fz-gateway";

/** Returns the rules that hide `networks` behind this machine wherever their packets leave by another device. */
function masqueradeRules(device: string, networks: readonly IpNetwork[]): string {
  const rules = networks.map((network) =>
    `    oifname != "${device}" ${network.family === 4 ? "ip" : "ip6"} saddr ${network} masquerade`
  );
  return [
    REMOVE_TABLE,
    `table inet ${NFT_TABLE} {`,
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    ...rules,
    "  }",
    "}",
    "",
  ].join("\n");
}

const STATE_PATH = "/run/fz/gateway-settings.json";
const IPV4_FORWARDING = "net/ipv4/ip_forward";
const IPV6_FORWARDING = "net/ipv6/conf/all/forwarding";

/** Declared first, so that removing never fails for want of it. */
const REMOVE_TABLE = `table inet ${NFT_TABLE}\ndelete table inet ${NFT_TABLE}\n`;
