/** A server as Ubuntu and Fedora make it: real systemd, with dbus, polkit and systemd-resolved as its units. */

import { installResolved, makePolkitFolder } from "./bus.ts";
import { RESOLVED } from "./dns_managers.ts";
import type { Network } from "./network.ts";
import { eventually } from "./on_network.ts";
import { TOKENS } from "./seed.ts";
import { SystemdHost } from "./systemd.ts";

const UNITS = ["dbus.socket", "dbus.service", "polkit.service", "systemd-resolved.service"];

/** The client's host, with a profile and a token for the portal. */
export interface ResolvedServer {
  readonly systemd: SystemdHost;
  /** What resolved knew before anything of ours ran. */
  readonly before: string;
  /** Tells resolved of the machine's own resolver, as a DHCP client does. */
  setUplink(): Promise<void>;
}

/** Makes the client's host such a server. Returns why that cannot be done on this machine, if it cannot. */
export async function startResolvedServer(network: Network): Promise<ResolvedServer | string> {
  const { client } = network;
  await installResolved(client);
  await makePolkitFolder(client);
  await client.writeFile(
    "/etc/fz/profiles/default.toml",
    `api-url = "${network.portalUrl}"\nname = "client"\n`,
  );
  await client.writeFile("/etc/dev.firezone.client/token", TOKENS.client, 0o600);
  const systemd = await SystemdHost.start(client, UNITS);
  if (typeof systemd === "string") return systemd;
  const [, uplink] = / dev (\S+)/.exec(await client.must(["ip", "-4", "-o", "route", "show", "default"]))!;
  const setUplink = async () => {
    await systemd.must(["resolvectl", "dns", uplink!, network.uplink("public").v4!]);
    await systemd.must(["resolvectl", "domain", uplink!, "corp.test"]);
  };
  await eventually(setUplink);
  return { systemd, before: await RESOLVED.state(client), setUplink };
}
