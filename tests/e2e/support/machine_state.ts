/** Everything that a session may change on a host, as one text to compare: what was there before must be there after. */

import type { Host } from "../../../io/lab/host.ts";

const SHOW = `
for family in -4 -6; do
  for what in "link show" "address show" "route show table all" "rule show"; do
    echo "# ip $family $what"
    ip -j -d $family $what | sed 's/},{/},\\n{/g'
  done
done
echo "# nft"; nft -j list ruleset
echo "# resolv.conf"; stat -c '%F %a %U %G %N' /etc/resolv.conf; od -An -c /etc/resolv.conf
echo "# files"; ls -A /etc; find /run/fz /var/lib/fz -not -type d -not -path '*/profiles/*' -printf '%p %y %m %U\\n' 2>/dev/null | sort
echo "# settings"; sysctl -a 2>/dev/null | grep -E 'forward|rp_filter|src_valid_mark|disable_ipv6'
`;

/**
 * Returns links, addresses, routes and rules of both families, the firewall, resolv.conf, files and settings of the kernel. What
 * a person switched is not in it: that is to last.
 */
export async function machineState(host: Host): Promise<string> {
  return await host.must(["sh", "-c", SHOW]);
}
