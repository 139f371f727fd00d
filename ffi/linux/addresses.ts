/** Addresses of the TUN device: /32 and /128, nothing that the kernel would make up on its own. */

import type { Family, IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import type { TunnelAddresses } from "../platform.ts";
import { ip, ipFault, ipList } from "./ip_command.ts";

/** Brings `device` up with exactly `addresses`. Returns the families that work; throws a Fault if none does. */
export async function configureDevice(
  device: string,
  mtu: number,
  addresses: TunnelAddresses,
  log: Log,
): Promise<Family[]> {
  // A link-local address would announce itself into the tunnel. Machines without IPv6 refuse; nothing is lost.
  await ip(6, ["link", "set", "dev", device, "addrgenmode", "none"]);
  const up = await ip(4, [
    "link",
    "set",
    "dev",
    device,
    "mtu",
    String(mtu),
    "txqueuelen",
    QUEUE_LENGTH,
    "up",
  ]);
  if (up.code !== 0) throw ipFault(`Cannot bring device "${device}" up`, up.stderr);

  const families: Family[] = [];
  let reason = "no address was assigned";
  for (const address of [addresses.ipv4, addresses.ipv6]) {
    if (address === undefined) continue;
    const failure = await assign(device, address);
    if (failure === undefined) {
      families.push(address.family);
      continue;
    }
    reason = failure;
    log.info("leaving out an address family", { family: address.family, reason: failure });
  }
  if (families.length === 0) throw ipFault(`Cannot set addresses of device "${device}"`, reason);
  await removeOthers(device, addresses);
  return families;
}

const QUEUE_LENGTH = "1000";

async function assign(device: string, address: IpAddress): Promise<string | undefined> {
  const prefix = address.family === 4 ? "/32" : "/128";
  const options = address.family === 6 ? ["nodad"] : [];
  const args = ["address", "replace", `${address}${prefix}`, "dev", device, ...options];
  const { code, stderr } = await ip(address.family, args);
  return code === 0 ? undefined : stderr.trim();
}

/** Takes away addresses of an earlier configuration. */
async function removeOthers(device: string, { ipv4, ipv6 }: TunnelAddresses): Promise<void> {
  for (const family of [4, 6] as const) {
    const wanted = String(family === 4 ? ipv4 : ipv6);
    for (const entry of await ipList(family, ["address", "show", "dev", device])) {
      const list = Array.isArray(entry.addr_info) ? entry.addr_info : [];
      for (const { local, prefixlen, scope } of list) {
        if (typeof local !== "string" || local === wanted || scope === "link") continue;
        await ip(family, ["address", "del", `${local}/${prefixlen}`, "dev", device]);
      }
    }
  }
}
