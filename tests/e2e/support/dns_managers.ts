/** Hosts whose DNS is managed in each of the ways that Linux has, by the real programs. */

import assert from "node:assert/strict";
import type { Host } from "../../../io/lab/host.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import { installResolved, startBus, startNetworkManager, startPolkit, startResolved } from "./bus.ts";
import type { Network } from "./network.ts";
import { eventually } from "./on_network.ts";
import { usePackages } from "./packages.ts";

/** One way. */
export interface DnsManager {
  readonly name: string;
  readonly control: string;
  /** Has the client's host managed so; its resolver is the public one. */
  prepare(network: Network): Promise<unknown>;
  /** Returns what the manager knows, and its files, in words: the same before and after a session. */
  state(host: Host): Promise<string>;
}

export const PLAIN_FILE: DnsManager = {
  name: "a plain file",
  control: "etc-resolv-conf",
  prepare: () => Promise.resolve(),
  state: () => Promise.resolve(""),
};

export const RESOLVED: DnsManager = {
  name: "systemd-resolved",
  control: "systemd-resolved",
  async prepare(network) {
    const { client } = network;
    await installResolved(client);
    await startBus(client);
    await startResolved(client);
    const link =
      (await client.must(["sh", "-c", "ip -o route show default | sed 's/.* dev //; s/ .*//' | head -n 1"]))
        .trim();
    await client.must(["resolvectl", "dns", link, network.uplink("public").v4!]);
    await client.must(["resolvectl", "domain", link, "corp.test"]);
  },
  state: (host) =>
    host.must([
      "sh",
      "-c",
      'for what in dns domain default-route llmnr mdns dnsovertls dnssec nta; do echo "# $what"; resolvectl $what; done; ' +
      "find /run/systemd/resolve -type f | sort | grep -v stub | xargs grep -H .",
    ]),
};

export const NETWORK_MANAGER: DnsManager = {
  name: "NetworkManager",
  control: "network-manager",
  prepare: (network) => manageByNetworkManager(network),
  state: (host) =>
    host.must([
      "sh",
      "-c",
      "cat /etc/resolv.conf /run/NetworkManager/resolv.conf; nmcli -t -f DEVICE,TYPE,STATE,CONNECTION device; " +
      "nmcli -t -f NAME,DEVICE connection",
    ]),
};

const RESOLVCONF_STATE =
  "ls -l /etc/resolv.conf | cut -c1-10; readlink /etc/resolv.conf; cat /etc/resolv.conf; " +
  "cd /run/resolvconf && find . -type f ! -name '*lock*' | sort | grep -v resolv.conf; grep -r . interface*";

export const DEBIAN_RESOLVCONF: DnsManager = resolvconf(
  "resolvconf",
  "mkdir -p /run/resolvconf/interface && ln -sf ../run/resolvconf/resolv.conf /etc/resolv.conf && resolvconf --enable-updates",
);

export const OPENRESOLV: DnsManager = resolvconf("openresolv", "resolvconf -u");

/** Those with a daemon or a program. */
export const DNS_MANAGERS: readonly DnsManager[] = [RESOLVED, NETWORK_MANAGER, DEBIAN_RESOLVCONF, OPENRESOLV];

function resolvconf(name: "resolvconf" | "openresolv", start: string): DnsManager {
  return {
    name,
    control: "resolvconf",
    async prepare(network) {
      const { client } = network;
      await usePackages(client, [name]);
      await client.must(["sh", "-c", start]);
      await client.must(["resolvconf", "-a", "eth0.dhclient"], {
        input: `nameserver ${network.uplink("public").v4}\nsearch corp.test\n`,
      });
    },
    state: (host) => host.must(["sh", "-c", RESOLVCONF_STATE]),
  };
}

/**
 * Gives the client's uplink to NetworkManager, as a desktop's would be. If `prepare` is given, it runs before any daemon
 * does, and NetworkManager asks polkit about others than root. Returns polkit.
 */
export async function manageByNetworkManager(
  network: Network,
  prepare?: () => Promise<void>,
): Promise<LabProcess> {
  const { client } = network;
  await usePackages(client, ["network-manager"]);
  await prepare?.();
  await startBus(client);
  const polkit = await startPolkit(client, "");
  const route = await client.must(["ip", "-4", "-o", "route", "show", "default"]);
  const [, gateway, device] = /via (\S+) dev (\S+)/.exec(route)!;
  const address =
    /inet (\S+)/.exec(await client.must(["ip", "-4", "-o", "address", "show", "dev", device!]))![1];
  // What has an address already was set up by somebody else, for NetworkManager.
  await client.must(["ip", "address", "flush", "dev", device!]);
  await client.must(["ip", "link", "set", device!, "down"]);
  await startNetworkManager(
    client,
    `[connection]
id=lab
uuid=6b1f6a5e-0a4c-4cf2-8a9a-3c1b8f1f2a11
type=ethernet
interface-name=${device}

[ipv4]
method=manual
address1=${address},${gateway}
dns=${network.uplink("public").v4};
dns-search=corp.test;

[ipv6]
method=disabled
`,
    prepare === undefined ? "nobody" : "polkit",
  );
  await eventually(async () => {
    const states = await client.must(["nmcli", "-t", "-f", "DEVICE,STATE", "device"]);
    assert.match(states, new RegExp(`^${device}:connected$`, "m"));
    assert.match(await client.readFile("/etc/resolv.conf"), /^nameserver/m);
  });
  return polkit;
}
