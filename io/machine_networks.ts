/**
 * The networks that this machine reaches by itself: those of its interfaces, and those to which its routes lead: the main
 * table of IPv4 (proc_pid_net(5), route), and all tables of IPv6 (net/ipv6/route.c, rt6_print), which that file does not
 * tell apart.
 */

import { IpAddress, IpNetwork } from "../lib/base/ip.ts";
import { hostNetwork } from "../lib/host/subtract.ts";

/** A network, and the device that it is on or that leads to it. */
export interface MachineNetwork {
  readonly device: string;
  /** As IpNetwork takes it; the default route is 0.0.0.0/0. */
  readonly network: string;
}

/** Returns the networks of all devices but `own`. What cannot be seen is left out; never throws. */
export async function machineNetworks(own: string): Promise<readonly MachineNetwork[]> {
  const found = interfaceNetworks().filter(({ device }) => device !== own);
  const [text, text6] = await Promise.all(
    ["/proc/net/route", "/proc/net/ipv6_route"].map((path) => Deno.readTextFile(path).catch(() => "")),
  ) as [string, string];
  found.push(...parseIpv6Routes(text6).filter(({ device }) => device !== own));
  for (const line of text.split("\n").slice(1)) {
    const [device, destination, , , , , , mask] = line.split("\t");
    if (device === undefined || device === own || destination === undefined || mask === undefined) continue;
    const prefix = [...hexAddress(mask)].reduce(
      (sum, byte) => sum + byte.toString(2).replaceAll("0", "").length,
      0,
    );
    found.push({ device, network: `${[...hexAddress(destination)].join(".")}/${prefix}` });
  }
  return found;
}

/** Returns those that are more specific than a default route, without what leads nowhere else than the machine itself. */
export async function localNetworks(own: string): Promise<readonly IpNetwork[]> {
  const found = (await machineNetworks(own)).map(({ network }) => IpNetwork.parse(network));
  return found.filter((network): network is IpNetwork => network !== undefined && network.prefix > 0);
}

/** Returns the addresses of this machine itself, the tunnel's and all of loopback among them. */
export function ownAddresses(): readonly IpNetwork[] {
  const found = deviceAddresses().map(({ address }) => IpAddress.parse(address));
  return [...LOOPBACK, ...found.filter((address) => address !== undefined).map(hostNetwork)];
}

/**
 * Returns where the routes in `text`, which is /proc/net/ipv6_route, lead to another machine; what is no such line is
 * left out.
 */
export function parseIpv6Routes(text: string): MachineNetwork[] {
  return text.split("\n").flatMap((line) => {
    const [destination, prefix, , , , , , , flags, device] = line.trim().split(/\s+/);
    if (device === undefined || !/^[0-9a-f]{32}$/.test(destination!) || !/^[0-9a-f]{2}$/.test(prefix!)) {
      return [];
    }
    if ((parseInt(flags!, 16) & NOWHERE_ELSE) !== 0) return [];
    return [{ device, network: `${destination!.match(/..../g)!.join(":")}/${parseInt(prefix!, 16)}` }];
  });
}

/** RTF_REJECT, RTF_ANYCAST and RTF_LOCAL of linux/ipv6_route.h and linux/route.h: refused, or this machine itself. */
const NOWHERE_ELSE = 0x200 | 0x10_0000 | 0x8000_0000;

const LOOPBACK: readonly IpNetwork[] = ["127.0.0.0/8", "::1/128"].map((text) => IpNetwork.from(text));

function interfaceNetworks(): MachineNetwork[] {
  return deviceAddresses()
    .filter(({ name, address }) => name !== "lo" && IpAddress.parse(address) !== undefined)
    .map(({ name, address, cidr }) => ({
      device: name,
      network: `${address}${cidr.slice(cidr.indexOf("/"))}`,
    }));
}

function deviceAddresses(): readonly Deno.NetworkInterfaceInfo[] {
  try {
    return Deno.networkInterfaces();
  } catch {
    return [];
  }
}

/** The bytes of an IPv4 address of /proc/net/route: hexadecimal, the last byte first. */
function hexAddress(text: string): number[] {
  return (text.match(/../g) ?? []).map((byte) => parseInt(byte, 16)).toReversed();
}
