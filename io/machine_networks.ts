/**
 * The networks that this machine reaches by itself: those of its interfaces, of both families, and those to which the main
 * table of IPv4 leads (proc_pid_net(5), route).
 */

import { IpAddress, IpNetwork } from "../lib/base/ip.ts";

/** A network, and the device that it is on or that leads to it. */
export interface MachineNetwork {
  readonly device: string;
  /** As IpNetwork takes it; the default route is 0.0.0.0/0. */
  readonly network: string;
}

/** Returns the networks of all devices but `own`. What cannot be seen is left out; never throws. */
export async function machineNetworks(own: string): Promise<readonly MachineNetwork[]> {
  const found = interfaceNetworks().filter(({ device }) => device !== own);
  const text = await Deno.readTextFile("/proc/net/route").catch(() => "");
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

function interfaceNetworks(): MachineNetwork[] {
  try {
    return Deno.networkInterfaces()
      .filter(({ name, address }) => name !== "lo" && IpAddress.parse(address) !== undefined)
      .map(({ name, address, cidr }) => ({
        device: name,
        network: `${address}${cidr.slice(cidr.indexOf("/"))}`,
      }));
  } catch {
    return [];
  }
}

/** The bytes of an IPv4 address of /proc/net/route: hexadecimal, the last byte first. */
function hexAddress(text: string): number[] {
  return (text.match(/../g) ?? []).map((byte) => parseInt(byte, 16)).toReversed();
}
