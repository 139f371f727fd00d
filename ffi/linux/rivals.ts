/**
 * Who else leads away what the tunnel should have: rules of another VPN before ours, its routes to halves of the
 * Internet. The kernel is asked which way a packet of some program would take; nothing is sent, and nothing of others is
 * touched.
 */

import { FAR_AWAY } from "../../lib/host/far_away.ts";
import type { IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import { hostNetwork } from "../../lib/host/subtract.ts";
import type { RouteWishes } from "../../lib/host/route_plan.ts";
import type { RouteKernel } from "./rules.ts";

/** Returns a sentence for a person about each thing that does not get into the tunnel. */
export function findRivals(kernel: Pick<RouteKernel, "lookUp" | "links">, wishes: RouteWishes): string[] {
  const { device, families, ruleFamilies, routes, excluded, bypass } = wishes;
  const out = [...excluded, ...bypass.map(hostNetwork)];
  const isOurs = (address: IpAddress) =>
    families.includes(address.family) && ruleFamilies.includes(address.family) &&
    !out.some((network) => network.contains(address));
  const leader = (address: IpAddress): string | undefined => {
    const index = kernel.lookUp(address, 0)?.index;
    if (index === device) return undefined;
    return kernel.links().find((link) => link.index === index)?.name ?? "none";
  };
  const rival = (addresses: readonly IpAddress[]) =>
    addresses.filter(isOurs).map(leader).find((name) => name);

  const first = ([4, 6] as const).flatMap((family) => routes.find(isResource(family))?.address ?? []);
  const ofResources = rival(first);
  if (ofResources !== undefined) {
    return [
      `Rules of another program come before the tunnel's, and lead to device "${ofResources}": resources are not ` +
      "reached. Start that program first, then this session",
    ];
  }
  const far = FAR_AWAY.filter(({ family }) =>
    routes.some((route) => route.family === family && route.prefix === 0)
  );
  const ofInternet = rival(far);
  return ofInternet === undefined ? [] : [
    `Other rules or routes of this machine lead the Internet to device "${ofInternet}": it does not all go into the tunnel`,
  ];
}

function isResource(family: 4 | 6): (route: IpNetwork) => boolean {
  return (route) => route.family === family && route.prefix > 0;
}
