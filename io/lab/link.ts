/** Wires of the lab: veth pairs between two hosts, and segments (bridges) that join several. */

import { type Host, mustRun, runTool } from "./host.ts";

/** Addresses of a host on a link, with prefix length ("192.0.2.1/24", "2001:db8::1/64"). */
export interface LinkAddresses {
  readonly v4?: string;
  readonly v6?: string;
  /** Name of the interface on the host; the next free of eth0, eth1, … otherwise. */
  readonly name?: string;
  readonly mtu?: number;
}

/** An interface of a host. */
export class Interface {
  readonly host: Host;
  readonly name: string;
  /** Addresses without the prefix length. */
  readonly v4: string | undefined;
  readonly v6: string | undefined;

  constructor(host: Host, name: string, addresses: LinkAddresses) {
    this.host = host;
    this.name = name;
    this.v4 = addresses.v4?.split("/")[0];
    this.v6 = addresses.v6?.split("/")[0];
  }

  /** Drops every packet in both directions, like a cable that is cut behind the next switch. */
  async cut(): Promise<void> {
    await this.host.nft(`table netdev fz_cut_${this.name} {
      chain ingress { type filter hook ingress device "${this.name}" priority -500; policy drop; }
      chain egress { type filter hook egress device "${this.name}" priority -500; policy drop; }
    }`);
  }

  /** Undoes `cut`. */
  async restore(): Promise<void> {
    await this.host.must(["nft", "delete", "table", "netdev", `fz_cut_${this.name}`]);
  }

  /** Takes the interface down; its routes go with it. */
  async down(): Promise<void> {
    await this.host.must(["ip", "link", "set", this.name, "down"]);
  }

  /** Brings the interface up. */
  async up(): Promise<void> {
    await this.host.must(["ip", "link", "set", this.name, "up"]);
  }
}

/** Names are new in the whole isolation: the kernel takes links of a host that is gone down some time later. */
function newName(): string {
  return `fz${crypto.randomUUID().slice(0, 8)}`;
}

/** Joins two hosts by a wire. */
export async function linkHosts(
  left: readonly [Host, LinkAddresses],
  right: readonly [Host, LinkAddresses],
): Promise<[Interface, Interface]> {
  const wire = newName();
  await mustRun(["ip", "link", "add", `${wire}a`, "type", "veth", "peer", "name", `${wire}b`]);
  const ends: [Interface, Interface] = [
    await plugIn(`${wire}a`, ...left),
    await plugIn(`${wire}b`, ...right),
  ];
  await Promise.all(ends.map(settle));
  return ends;
}

/** A switch: every host attached to it sees every other on one link. */
export class Segment {
  readonly #bridge: string;
  /** The ends of wires that are plugged in here. */
  readonly #ports: string[] = [];

  private constructor(bridge: string) {
    this.#bridge = bridge;
  }

  static async create(): Promise<Segment> {
    const bridge = newName();
    // Without snooping and spanning tree the switch is ready at once and passes multicast.
    const kind = ["type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
    await mustRun(["ip", "link", "add", bridge, ...kind]);
    await mustRun(["ip", "link", "set", bridge, "up"]);
    return new Segment(bridge);
  }

  /** Plugs `host` in and returns its new interface. */
  async attach(host: Host, addresses: LinkAddresses): Promise<Interface> {
    const wire = newName();
    await mustRun(["ip", "link", "add", `${wire}a`, "type", "veth", "peer", "name", `${wire}b`]);
    this.#ports.push(`${wire}b`);
    await mustRun(["ip", "link", "set", `${wire}b`, "master", this.#bridge, "up"]);
    const end = await plugIn(`${wire}a`, host, addresses);
    await settle(end);
    return end;
  }

  async close(): Promise<void> {
    // The kernel removes a wire with the host at its other end, but some time later: its name would not yet be free.
    for (const name of [...this.#ports, this.#bridge]) await runTool(["ip", "link", "delete", name]);
  }
}

async function plugIn(wire: string, host: Host, addresses: LinkAddresses): Promise<Interface> {
  const name = addresses.name ?? await freeName(host);
  await mustRun(["ip", "link", "set", wire, "netns", String(host.pid), "name", name]);
  const commands = [`link set ${name} mtu ${addresses.mtu ?? 1500} up`];
  if (addresses.v4 !== undefined) commands.push(`address add ${addresses.v4} dev ${name}`);
  // Without duplicate address detection the address can be used at once.
  if (addresses.v6 !== undefined) commands.push(`address add ${addresses.v6} dev ${name} nodad`);
  await host.must(["ip", "-batch", "-"], { input: commands.join("\n") + "\n" });
  return new Interface(host, name, addresses);
}

/**
 * Waits until the kernel has made what it makes in its own time on a link that has come up: the link-local address, and
 * its own route to each address of IPv6. Who compares a host before and after would see it come.
 */
async function settle({ host, name }: Interface): Promise<void> {
  const script = `
for attempt in $(seq 500); do
  [ "$(cat /proc/sys/net/ipv6/conf/$1/disable_ipv6 2>/dev/null)" = 0 ] || exit 0
  addresses=$(ip -6 -o address show dev $1)
  routes=$(ip -6 route show table local dev $1 | grep -c ^local)
  case $addresses in
  *tentative*) ;;
  *"scope link"*) [ "$routes" -lt "$(echo "$addresses" | wc -l)" ] || exit 0 ;;
  esac
  sleep 0.02
done`;
  await host.must(["sh", "-c", script, "settle", name]);
}

async function freeName(host: Host): Promise<string> {
  const listing = await host.must(["ip", "-brief", "link"]);
  const taken = new Set(listing.split("\n").map((line) => line.split(/[\s@]/)[0]));
  for (let index = 0;; index++) {
    if (!taken.has(`eth${index}`)) return `eth${index}`;
  }
}
