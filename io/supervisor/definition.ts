/** Makes the definition of the service from what the user decided and what is found on this machine. */

import { platform as thisPlatform } from "../../ffi/mod.ts";
import { Fault } from "../../lib/base/fault.ts";
import { pathsOf, READERS_GROUP, settingsFile } from "../../lib/control/paths.ts";
import { launchdPlist } from "../../lib/control/service/launchd.ts";
import type { ServiceOptions, ServiceRequest, SupervisorKind } from "../../lib/control/service/service.ts";
import { type ServiceUser, serviceUser } from "../../lib/control/service/user.ts";
import { systemdUnit } from "../../lib/control/service/systemd.ts";
import { windowsInstall } from "../../lib/control/service/windows.ts";
import { isReachable } from "../../lib/host/capabilities.ts";
import type { DnsControl } from "../../lib/control/config.ts";
import { needOf } from "../file_needs.ts";
import { cacheFolder, programFiles, programFolders, ROOT } from "../program_files.ts";

/** Returns `request` with this program, the DNS control that fits, and the readers' group if it is there. */
export async function serviceOptions(request: ServiceRequest): Promise<ServiceOptions> {
  const words = await program();
  const dnsControl = request.dnsControl ?? (await (await thisPlatform()).chooseDns()).control;
  return {
    folders: programFolders(),
    ...request,
    dnsControl,
    user: findUser(dnsControl, words),
    program: words,
    environment: words.length === 1 ? {} : { DENO_DIR: cacheFolder(), DENO_NO_UPDATE_CHECK: "1" },
    readersGroup: await readersGroup(),
  };
}

function findUser(dnsControl: DnsControl, words: readonly string[]): ServiceUser {
  const settings = settingsFile(pathsOf({ os: "linux", uid: 0, env: () => undefined }), "default");
  const closed = [...programFiles(), words[0]!, settings]
    .find((path) => !isReachable({ uid: NOBODY, groups: [] }, needOf(path, "read")));
  return serviceUser({
    dnsControl,
    hasPolkit: isThere("/etc/polkit-1/rules.d") && POLKIT_DAEMONS.some(isThere),
    hasUsers: TOOLS_FOR_USERS.some(isThere),
    closed: closed === undefined ? undefined : `"${closed}"`,
  });
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Returns the text of the definition for a supervisor of `kind`, whatever runs here; undefined is this OS's usual one. */
export async function definitionText(
  kind: SupervisorKind | undefined,
  request: ServiceRequest,
): Promise<string> {
  const options = await serviceOptions(request);
  switch (kind ?? USUAL[Deno.build.os] ?? "systemd") {
    case "systemd":
      return systemdUnit(options);
    case "launchd":
      return launchdPlist(options);
    case "windows":
      return windowsInstall(options).map((words) => `${words.map(shown).join(" ")}\r\n`).join("");
  }
}

/** Makes the group whose members may ask the session. Returns whether it was made: systems without groupadd have none. */
export async function makeReadersGroup(): Promise<boolean> {
  if (Deno.build.os !== "linux" || await hasGroup(READERS_GROUP)) return false;
  try {
    const { code } = await new Deno.Command("groupadd", {
      args: ["--system", READERS_GROUP],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return code === 0;
  } catch {
    return false;
  }
}

/** Returns the group that may ask the session, if this machine has it. */
export async function readersGroup(): Promise<string | undefined> {
  return await hasGroup(READERS_GROUP) ? READERS_GROUP : undefined;
}

async function hasGroup(name: string): Promise<boolean> {
  const text = await Deno.readTextFile("/etc/group").catch(() => "");
  return text.split("\n").some((line) => line.startsWith(`${name}:`));
}

/** The command that the installer made for this clone, else the runtime with what it runs. */
async function program(): Promise<readonly string[]> {
  const runtime = Deno.execPath();
  if (Deno.build.standalone) return [runtime];
  for (const path of COMMANDS) {
    const text = await Deno.readTextFile(path).catch(() => "");
    if (text.includes(`'${ROOT}main.ts'`)) return [path];
  }
  const flags = ["--quiet", "--no-prompt", "--allow-all", "--frozen", "--v8-flags=--max-semi-space-size=1"];
  return [runtime, "run", ...flags, "--config", `${ROOT}deno.json`, `${ROOT}main.ts`];
}

/** Throws a Fault if root without capabilities, which is what the service is, may not enter `folder`. */
export async function checkFolder(folder: string): Promise<void> {
  if (Deno.build.os !== "linux") return;
  const OTHERS_ENTER = 0o001;
  const parts = folder.split("/").filter((part) => part !== "");
  for (let count = 1; count <= parts.length; count++) {
    const path = `/${parts.slice(0, count).join("/")}`;
    const info = await Deno.stat(path).catch(() => undefined);
    if (info === undefined || info.uid === 0 || ((info.mode ?? 0) & OTHERS_ENTER) !== 0) continue;
    throw new Fault(
      "privilege",
      `Cannot run the service from "${folder}": only its owner may enter "${path}"`,
      {
        next: "Clone fz to /opt/fz, and run `sh install.sh` and `fz service install` there as root.",
      },
    );
  }
}

/** Any user who is not there; overflowuid is somebody in a container. */
const NOBODY = 65_533;
const POLKIT_DAEMONS = ["/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd", "/usr/libexec/polkit-1/polkitd"];
const TOOLS_FOR_USERS = ["/usr/bin/systemd-sysusers", "/bin/systemd-sysusers"];

const USUAL: Readonly<Partial<Record<typeof Deno.build.os, SupervisorKind>>> = {
  darwin: "launchd",
  windows: "windows",
};

const COMMANDS = ["/usr/local/bin/fz", "/usr/bin/fz"];

function shown(word: string): string {
  return /[\s"]/.test(word) ? `"${word.replaceAll('"', '\\"')}"` : word;
}
