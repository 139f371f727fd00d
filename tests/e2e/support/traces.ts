/** What a program may leave behind on a host: everything of it that the kernel and /etc show. */

import type { Host } from "../../../io/lab/host.ts";

const SHOW = `
ip -o address show | sed 's/valid_lft.*//'
ip -4 route show table all
ip -6 route show table all
ip -4 rule show
ip -6 rule show
nft list ruleset
cat /etc/resolv.conf
ls -a /etc
sysctl -a 2>/dev/null | grep -E 'forward|rp_filter|src_valid_mark'
`;

/** Returns the host's interfaces, addresses, routes, rules, firewall, resolvers and forwarding as one text to compare. */
export async function tracesOn(host: Host): Promise<string> {
  return await host.must(["sh", "-c", SHOW]);
}
