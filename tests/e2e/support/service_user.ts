/** The service's own user on a lab host without systemd, and a session that is started as the unit starts it. */

import type { Host } from "../../../io/lab/host.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import { SYSUSERS_FILE, sysusersText } from "../../../lib/control/service/user.ts";
import type { Network } from "./network.ts";

const FOLDERS = ["/run/fz", "/var/lib/fz", "/var/lib/dev.firezone.client"];

/** What makes a process that of the service's user. */
export const AS_USER = ["setpriv", "--reuid=fz", "--regid=fz", "--clear-groups"];
/** The same with the rights that the unit gives. */
export const AS_SERVICE = [
  ...[...AS_USER, "--no-new-privs", "--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"],
  "--bounding-set=-all,+net_admin",
];

/** The same for somebody else. The bus knows users by name only. */
export const AS_STRANGER = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

/** Makes the user and his folders on `host`. The bus knows him only if it is started later. */
export async function makeServiceUser(host: Host): Promise<void> {
  await host.writeFile(SYSUSERS_FILE, sysusersText());
  await host.must(["systemd-sysusers", SYSUSERS_FILE]);
  await host.must(["install", "-d", "-o", "fz", "-g", "fz", "-m", "0755", ...FOLDERS]);
}

/** Starts what the unit starts, as systemd does. */
export function startService(
  network: Network,
  dnsControl: string,
  by: readonly string[] = AS_SERVICE,
  runtime = Deno.execPath(),
): LabProcess {
  const env = network.programEnv({
    FZ_CONFIG_DIR: "/etc/fz",
    RUNTIME_DIRECTORY: FOLDERS[0]!,
    STATE_DIRECTORY: FOLDERS.slice(1).join(":"),
    HOME: "/var/lib/fz",
  });
  const [, ...words] = network.command(["run", "--service", "--dns-control", dnsControl]);
  return network.client.spawn([...by, runtime, ...words], { env });
}
