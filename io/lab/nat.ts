/** NAT and filters on a router of the lab, by nftables. Words for NAT behaviour as in RFC 4787. */

import type { Host } from "./host.ts";
import type { Interface } from "./link.ts";

/**
 * "port-restricted": keeps the source port where it can and lets in only what answers (the usual home router).
 * "symmetric": a new random port for every destination.
 */
export type NatKind = "port-restricted" | "symmetric";

/** Hides what is behind `router` behind the addresses of its interface `outside`. */
export async function enableNat(router: Host, outside: Interface, kind: NatKind): Promise<void> {
  const masquerade = kind === "symmetric" ? "masquerade fully-random" : "masquerade";
  // What comes in unasked must be dropped before conntrack confirms it: else the entry takes the port that a
  // host inside is about to use towards the same peer, and hole punching fails as it does behind no real router.
  await router.nft(`table inet fz_nat {
    chain postrouting {
      type nat hook postrouting priority srcnat;
      oifname "${outside.name}" ${masquerade}
    }
    chain input {
      type filter hook input priority filter;
      iifname "${outside.name}" meta l4proto { tcp, udp } ct state new drop
    }
    chain forward {
      type filter hook forward priority filter;
      iifname "${outside.name}" ct state new drop
    }
  }`);
}

let blocks = 0;

/**
 * Drops UDP from and to `peers` (addresses or networks of one family) on `host`, be it an end or a router in between.
 * Returns a function that lifts the block.
 */
export async function blockUdp(host: Host, peers: readonly string[]): Promise<() => Promise<void>> {
  const table = `fz_block_${blocks++}`;
  const family = peers.some((peer) => peer.includes(":")) ? "ip6" : "ip";
  const set = `{ ${peers.join(", ")} }`;
  const rules = `meta l4proto udp ${family} saddr ${set} drop; meta l4proto udp ${family} daddr ${set} drop;`;
  await host.nft(`table inet ${table} {
    chain input { type filter hook input priority -10; ${rules} }
    chain forward { type filter hook forward priority -10; ${rules} }
    chain output { type filter hook output priority -10; ${rules} }
  }`);
  return async () => {
    await host.must(["nft", "delete", "table", "inet", table]);
  };
}
