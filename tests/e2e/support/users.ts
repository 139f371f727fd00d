/** Several users of one host in the lab: each with a home, a runtime folder, and commands of his own. */

import type { Outcome } from "../../../io/lab/process.ts";
import type { Network } from "./network.ts";

/** Who runs a command. */
export type User = "root" | "alice" | "reader" | "stranger";

/** Group that may ask root's session. */
const READERS = 4321;
/** Alice may make tunnels, as a program with file capabilities may. */
const NET_ADMIN = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"];

const ACCOUNTS = {
  alice: { uid: 1234, setpriv: ["--clear-groups", ...NET_ADMIN] },
  reader: { uid: 1235, setpriv: [`--groups=${READERS}`] },
  stranger: { uid: 1236, setpriv: ["--clear-groups"] },
} as const;

const PREPARE = `
for uid in ${Object.values(ACCOUNTS).map(({ uid }) => uid).join(" ")}; do
  install -d -m 700 -o $uid -g $uid /run/home/$uid /run/user/$uid || exit 1
done
cp /etc/group /run/group && rm /etc/group && cp /run/group /etc/group && echo fz:x:${READERS}: >>/etc/group`;

/** Runs `fz` as one of the users and returns how it ended. */
export type FzAs = (user: User, args: readonly string[], env?: Record<string, string>) => Promise<Outcome>;

/** Makes the users and the readers' group on the client's host. */
export async function usersOn(network: Network): Promise<FzAs> {
  await network.client.must(["sh", "-c", PREPARE]);
  const { FIREZONE_TOKEN: _, ...shared } = network.programEnv();
  return (user, args, env = {}) => {
    const own = user === "root" ? {} : homeOf(user);
    return network.client.run([...prefixOf(user), ...network.command(args)], {
      env: { ...shared, FIREZONE_DNS_CONTROL: "etc-resolv-conf", ...own, ...env },
    });
  };
}

function prefixOf(user: User): string[] {
  if (user === "root") return [];
  const { uid, setpriv } = ACCOUNTS[user];
  return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, ...setpriv];
}

function homeOf(user: Exclude<User, "root">): Record<string, string> {
  const { uid } = ACCOUNTS[user];
  return { HOME: `/run/home/${uid}`, XDG_RUNTIME_DIR: `/run/user/${uid}` };
}
