/** Addresses of the TUN device: /32 and /128, nothing that the kernel would make up on its own. */

import { Fault } from "../../lib/base/fault.ts";
import type { Family, IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { Errno, faultOf } from "../errno.ts";
import type { TunnelAddresses } from "../platform.ts";
import { type NetlinkError, NetlinkRoute, Scope } from "./netlink/mod.ts";

/** Brings `device` up with exactly `addresses`. Returns the families that work; throws a Fault if none does. */
export function configureDevice(
  device: string,
  mtu: number,
  addresses: TunnelAddresses,
  log: Log,
): Family[] {
  using netlink = NetlinkRoute.open();
  const link = netlink.link(device);
  if (link === undefined) {
    throw new Fault("tun", `Cannot bring device "${device}" up: there is no such device`);
  }
  const { index } = link;
  // A link-local address would announce itself into the tunnel. Machines without IPv6 refuse; nothing is lost.
  netlink.setLink({ index, addrGenModeNone: true });
  const failure = netlink.setLink({ index, mtu, txQueueLength: QUEUE_LENGTH, up: true });
  if (failure !== undefined) throw refusal(`Cannot bring device "${device}" up`, failure);

  const families: Family[] = [];
  let last: NetlinkError | undefined;
  for (const address of [addresses.ipv4, addresses.ipv6]) {
    if (address === undefined) continue;
    const failure = netlink.addAddress({ index, address, prefix: address.bytes.length * 8, nodad: true });
    if (failure === undefined) {
      families.push(address.family);
      continue;
    }
    last = failure;
    log.info("leaving out an address family", { family: address.family, reason: failure.text });
  }
  if (families.length === 0) {
    const action = `Cannot set addresses of device "${device}"`;
    throw last === undefined ? new Fault("tun", `${action}: none was assigned`) : refusal(action, last);
  }
  removeOthers(netlink, index, [addresses.ipv4, addresses.ipv6]);
  return families;
}

const QUEUE_LENGTH = 1000;

/** Takes away addresses of an earlier configuration. */
function removeOthers(
  netlink: NetlinkRoute,
  index: number,
  wanted: readonly (IpAddress | undefined)[],
): void {
  for (const { index: owner, address, prefix, peer, scope } of netlink.addresses()) {
    if (owner !== index || scope === Scope.link) continue;
    if (wanted.some((own) => own?.equals(address)) && prefix === address.bytes.length * 8) continue;
    netlink.removeAddress({ index, address, prefix, ...(peer === undefined ? {} : { peer }) });
  }
}

function refusal(action: string, { errno, text }: NetlinkError): Fault {
  // EACCES is no matter of privilege here: IPv6 is turned off.
  return errno === Errno.EPERM ? faultOf(action, errno) : new Fault("tun", `${action}: ${text}`);
}
