/**
 * The real services of a desktop's system bus on a lab host, without systemd: dbus-daemon, polkitd, systemd-resolved,
 * NetworkManager. They end with the host.
 */

import assert from "node:assert/strict";
import type { Host } from "../../../io/lab/host.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import { eventually } from "./on_network.ts";
import { usePackages } from "./packages.ts";

/** The policy of Debian's system.conf, without users and services that a host of the lab lacks. */
const BUS_CONFIG = `<busconfig>
<type>system</type><auth>EXTERNAL</auth><listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context="default">
<allow user="*"/><deny own="*"/><deny send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/><allow send_destination="org.freedesktop.DBus"/>
</policy>
<includedir>/usr/share/dbus-1/system.d</includedir>
</busconfig>`;

/** Starts the bus on `host`; packages whose policies it shall read must be there before. */
export async function startBus(host: Host): Promise<LabProcess> {
  await host.must(["mkdir", "-p", "/run/dbus"]);
  await host.writeFile("/run/bus.conf", BUS_CONFIG);
  const bus = host.spawn([
    ...["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile", "--print-address"],
  ]);
  await bus.waitFor(/unix:/);
  return bus;
}

/** Makes the folder for an administrator's rules on `host`, empty: polkit looks only into one that is there when it starts. */
export async function makePolkitFolder(host: Host): Promise<void> {
  await host.must([
    "sh",
    "-c",
    "rm -rf /etc/polkit-1 && mkdir -p /etc/polkit-1/rules.d && chown -R polkitd /etc/polkit-1",
  ]);
}

/** Starts polkit on `host`; `rules` is the text of a file in /etc/polkit-1/rules.d. */
export async function startPolkit(host: Host, rules: string): Promise<LabProcess> {
  await makePolkitFolder(host);
  await host.writeFile("/etc/polkit-1/rules.d/50-fz.rules", rules);
  return await startOnBus(host, "org.freedesktop.PolicyKit1", ["/usr/lib/polkit-1/polkitd", "--no-debug"]);
}

/** Puts systemd-resolved on `host` and makes /etc/resolv.conf lead to it. */
export async function installResolved(host: Host): Promise<void> {
  await usePackages(host, ["systemd-resolved"]);
  await host.must([
    "sh",
    "-c",
    "install -d -o systemd-resolve -g systemd-resolve /run/systemd/resolve && " +
    "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf",
  ]);
}

/** Starts systemd-resolved. */
export async function startResolved(host: Host): Promise<LabProcess> {
  return await startOnBus(host, "org.freedesktop.resolve1", ["/usr/lib/systemd/systemd-resolved"], {
    SYSTEMD_LOG_TARGET: "console",
  });
}

/**
 * Starts NetworkManager with the one connection `profile`, a keyfile (nm-settings-keyfile(5)). It asks `authority` about
 * others than root.
 */
export async function startNetworkManager(
  host: Host,
  profile: string,
  authority: "polkit" | "nobody",
): Promise<LabProcess> {
  await host.must(["sh", "-c", PREPARE_NETWORK_MANAGER]);
  await host.writeFile(
    "/etc/NetworkManager/NetworkManager.conf",
    NETWORK_MANAGER_CONFIG.replace("root-only", authority === "polkit" ? "true" : "root-only"),
  );
  await host.writeFile("/etc/NetworkManager/system-connections/lab.nmconnection", profile, 0o600);
  return await startOnBus(host, "org.freedesktop.NetworkManager", ["NetworkManager", "--no-daemon"]);
}

/** Without udev in the namespace NetworkManager has to take the host for a container: it does where /sys is read-only. */
const PREPARE_NETWORK_MANAGER = `
mount -o remount,bind,ro /sys || exit 1
rm -rf /etc/NetworkManager /var/lib/NetworkManager
mkdir -p /run/NetworkManager /var/lib/NetworkManager /etc/NetworkManager/conf.d
`;

const NETWORK_MANAGER_CONFIG = `[main]
plugins=keyfile
dns=default
rc-manager=file
no-auto-default=*
auth-polkit=root-only
[logging]
level=INFO
`;

/** Starts a service and waits until it has its name, which one that has just ended may still have for a moment. */
async function startOnBus(
  host: Host,
  name: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<LabProcess> {
  const hasOwner = async () => (await namesOnBus(host)).includes(`"${name}"`);
  await eventually(async () => assert.ok(!await hasOwner(), `somebody has the name "${name}"`));
  const service = host.spawn(command, { env });
  await eventually(async () => assert.ok(await hasOwner(), service.describe()));
  return service;
}

/** Returns the names that programs have on the bus of `host`, as dbus-send(1) prints them. */
export function namesOnBus(host: Host): Promise<string> {
  return host.must([
    ...["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus"],
    ...["/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames"],
  ]);
}
