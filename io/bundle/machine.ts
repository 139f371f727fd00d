/** What a bundle tells about the machine: the system, its network, and who answers names. Reads only. */

import { commandPart, filePart, type Part, part } from "./parts.ts";

const SETTINGS = [
  "net/ipv4/ip_forward",
  "net/ipv4/conf/all/rp_filter",
  "net/ipv4/conf/default/rp_filter",
  "net/ipv6/conf/all/disable_ipv6",
  "net/ipv6/conf/all/forwarding",
  "net/core/rmem_max",
  "net/core/wmem_max",
];

/** Routers may have a million. */
const MAX_ROUTES = 5000;

/** Returns the parts about this machine. */
export async function machineParts(): Promise<Part[]> {
  const common = [
    part("machine/system.json", () => ({
      type: "document",
      name: "machine/system.json",
      value: {
        os: Deno.build.os,
        arch: Deno.build.arch,
        kernel: Deno.osRelease(),
        uptimeSeconds: Deno.osUptime(),
        memory: Deno.systemMemoryInfo(),
        isRoot: Deno.uid() === 0,
      },
    })),
    part("machine/interfaces.json", () => ({
      type: "document",
      name: "machine/interfaces.json",
      value: Deno.networkInterfaces(),
    })),
  ];
  const linux = Deno.build.os !== "linux" ? [] : [
    filePart("machine/os-release.txt", "/etc/os-release"),
    filePart("machine/resolv.conf.txt", "/etc/resolv.conf"),
    part("machine/resolver.json", async () => ({
      type: "document",
      name: "machine/resolver.json",
      value: { "/etc/resolv.conf": await linkTarget("/etc/resolv.conf") },
    })),
    commandPart("machine/resolvectl.txt", "resolvectl", "--no-pager", "status"),
    part("machine/network.json", async () => ({
      type: "document",
      name: "machine/network.json",
      value: await network(),
    })),
    part("machine/sysctl.json", async () => ({
      type: "document",
      name: "machine/sysctl.json",
      value: Object.fromEntries(await Promise.all(SETTINGS.map(readSetting))),
    })),
  ];
  return await Promise.all([...common, ...linux]);
}

/** Links, addresses, rules and routes as plain values. */
async function network(): Promise<unknown> {
  const { NetlinkRoute } = await import("../../ffi/linux/netlink/mod.ts");
  using netlink = NetlinkRoute.open();
  const routes = netlink.routes();
  const listing = {
    links: netlink.links(),
    addresses: netlink.addresses(),
    rules: [...netlink.rules(4), ...netlink.rules(6)],
    routes: routes.slice(0, MAX_ROUTES),
    routesLeftOut: Math.max(0, routes.length - MAX_ROUTES),
  };
  // Addresses become texts.
  return JSON.parse(JSON.stringify(listing));
}

async function readSetting(name: string): Promise<[string, string]> {
  const value = await Deno.readTextFile(`/proc/sys/${name}`).catch(() => "unreadable");
  return [name, value.trim()];
}

async function linkTarget(path: string): Promise<string> {
  return await Deno.readLink(path).catch(() => "a file");
}
