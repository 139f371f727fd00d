/** The system user of the service (systemd-sysusers(8)) and the rule of polkit(8) for it: made, and taken back. */

import { runTool } from "../../ffi/command.ts";
import { Fault } from "../../lib/base/fault.ts";
import {
  POLKIT_FILE,
  polkitRule,
  SERVICE_USER,
  type ServiceUser,
  SYSUSERS_FILE,
  sysusersText,
} from "../../lib/control/service/user.ts";
import { readDefinition, writeDefinition } from "./supervisor.ts";

/** Folders that systemd gives to the user, and that stay when he goes. */
const STATE_FOLDERS = ["/var/lib/fz", "/var/lib/dev.firezone.client"];

const RUNTIME_FOLDER = "/run/fz";

/** Makes what `user` needs, and removes the rule where it needs none. Returns what was done, a line each. */
export async function installUser(user: ServiceUser): Promise<readonly string[]> {
  const done: string[] = [];
  if (user.name === SERVICE_USER && await userId() === undefined) {
    await Deno.mkdir(folderOf(SYSUSERS_FILE), { recursive: true });
    await writeDefinition(SYSUSERS_FILE, sysusersText());
    const { code, stderr } = await runTool("systemd-sysusers", [SYSUSERS_FILE]);
    if (code !== 0 || await userId() === undefined) {
      await Deno.remove(SYSUSERS_FILE).catch(() => {});
      throw new Fault(
        "unexpected",
        `Cannot make the user "${SERVICE_USER}": ${stderr.trim().split("\n")[0]}`,
        {
          next: `Make it by hand, for example: useradd --system --home-dir /var/lib/fz ${SERVICE_USER}.`,
        },
      );
    }
    done.push(`made the user ${SERVICE_USER}, by ${SYSUSERS_FILE}`);
  }
  if (user.needsRule) {
    if (await writeDefinition(POLKIT_FILE, polkitRule())) done.push(`wrote ${POLKIT_FILE}`);
  } else done.push(...await removeRule());
  return done;
}

/** Removes the rule, and the user if `installUser` made it. Its state stays, as root's. Returns what was done. */
export async function removeUser(): Promise<readonly string[]> {
  const done = [...await removeRule()];
  if (await readDefinition(SYSUSERS_FILE) === undefined) return done;
  await Deno.remove(SYSUSERS_FILE);
  done.push(`removed ${SYSUSERS_FILE}`);
  const id = await userId();
  if (id === undefined) return done;
  // systemd leaves it where the service was stopped between two tries.
  if (await Deno.lstat(RUNTIME_FOLDER).then(({ uid }) => uid === id, () => false)) {
    await Deno.remove(RUNTIME_FOLDER, { recursive: true });
  }
  for (const folder of STATE_FOLDERS) await takeOver(folder);
  // Not its group where it has members: they are the administrator's.
  const { code, stderr } = await runTool("userdel", [SERVICE_USER], {
    next: `Remove the user ${SERVICE_USER}.`,
  });
  done.push(
    code === 0
      ? `removed the user ${SERVICE_USER}`
      : `could not remove the user ${SERVICE_USER}: ${stderr.trim().split("\n")[0]}`,
  );
  return done;
}

/**
 * Gives `folder`, which may not be there, and all in it to root. A journal goes: what it says would be done with root's
 * rights, and its user's sessions change nothing that is not found without it.
 */
export async function takeOver(folder: string): Promise<void> {
  // First: in root's folder nobody lays another one.
  await runTool("chown", ["-h", "0:0", folder]);
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
  for (const name of names.filter((name) => name.startsWith("journal.json"))) {
    await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
  await runTool("chown", ["-hR", "0:0", folder]);
}

/** Returns the id of the service's user; undefined if this machine has none. Only /etc/passwd is asked. */
async function userId(): Promise<number | undefined> {
  const text = await Deno.readTextFile("/etc/passwd").catch(() => "");
  const id = text.split("\n").find((line) => line.startsWith(`${SERVICE_USER}:`))?.split(":")[2];
  return id !== undefined && /^\d{1,10}$/.test(id) ? Number(id) : undefined;
}

async function removeRule(): Promise<readonly string[]> {
  if (await readDefinition(POLKIT_FILE) === undefined) return [];
  await Deno.remove(POLKIT_FILE);
  return [`removed ${POLKIT_FILE}`];
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
