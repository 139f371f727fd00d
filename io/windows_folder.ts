/**
 * Folders of ours on Windows, where file modes say nothing and everybody may read and add files below ProgramData: kept
 * for the system, administrators and their owner, by icacls.exe.
 */

import { Fault } from "../lib/base/fault.ts";

const guarded = new Set<string>();

/** Keeps others out of the folder at `path`, and of all below it. Nothing on other systems. Throws a Fault ("privilege"). */
export function guardFolder(path: string): void {
  if (Deno.build.os !== "windows" || guarded.has(path)) return;
  const tool = `${Deno.env.get("SystemRoot") ?? "C:\\Windows"}\\System32\\icacls.exe`;
  const run = (args: readonly string[]) =>
    new Deno.Command(tool, { args: [...args], stdin: "null", stdout: "null", stderr: "null" }).outputSync();
  const [own, grant] = guardArguments(path);
  // An ordinary user cannot, and need not: the folder is his.
  run(own);
  if (run(grant).code !== 0) {
    throw new Fault("privilege", `Cannot keep others out of "${path}"`, {
      next: "Run it as administrator, or choose a folder of your own by FZ_CONFIG_DIR and FZ_RUNTIME_DIR.",
    });
  }
  guarded.add(path);
}

/**
 * Returns the arguments for icacls.exe: administrators own the folder, whoever made it; nothing is inherited from above.
 * Names of groups differ from language to language, their numbers do not.
 */
export function guardArguments(path: string): readonly [own: readonly string[], grant: readonly string[]] {
  const place = path.replaceAll("/", "\\");
  const all = [SYSTEM, ADMINISTRATORS, OWNER].map((who) => `*${who}:(OI)(CI)F`);
  return [
    [place, "/setowner", `*${ADMINISTRATORS}`, "/Q"],
    [place, "/inheritance:r", "/grant:r", ...all, "/Q"],
  ];
}

const SYSTEM = "S-1-5-18";
const ADMINISTRATORS = "S-1-5-32-544";
const OWNER = "S-1-3-4";
