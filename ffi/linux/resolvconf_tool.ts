/** The two programs named resolvconf(8): Debian's and openresolv. Which one is here, and the records that it holds. */

import { readFileStart, readSmallText, UnfitFile } from "./small_file.ts";

/** Which one; systemd's is only a shape of resolvectl(1). */
export type ResolvconfKind = "debian" | "openresolv" | "systemd";

/** What somebody told resolvconf of one interface. */
export interface ResolvconfRecord {
  readonly name: string;
  /** In the format of resolv.conf(5). */
  readonly text: string;
}

/** Returns which resolvconf is found first, or undefined. `path` is a list of folders like PATH. */
export function findResolvconf(path = Deno.env.get("PATH") ?? ""): ResolvconfKind | undefined {
  for (const folder of [...path.split(":"), "/usr/sbin", "/sbin", "/usr/bin", "/bin"]) {
    if (!folder.startsWith("/")) continue;
    try {
      const program = Deno.realPathSync(`${folder}/resolvconf`);
      if (program.endsWith("/resolvectl")) return "systemd";
      const text = new TextDecoder().decode(readFileStart(program, MAX_PROGRAM));
      if (/openresolv|Roy Marples/.test(text)) return "openresolv";
      if (/Debian resolvconf|part of the resolvconf package/.test(text)) return "debian";
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Returns the records in the output of `resolvconf -l`, in its order: each begins with a line that names it. */
export function parseRecords(output: string): ResolvconfRecord[] {
  const records: { name: string; lines: string[] }[] = [];
  for (const line of output.split("\n").slice(0, MAX_LINES)) {
    const name = /^# resolv\.conf from (\S+)$/.exec(line)?.[1];
    if (name !== undefined) records.push({ name, lines: [] });
    else records.at(-1)?.lines.push(line);
  }
  return records.map(({ name, lines }) => ({ name, text: lines.join("\n") }));
}

/**
 * Returns the records as the files that they are kept in, in no order; undefined where they are kept elsewhere. Costs
 * no process. `folders` is for tests.
 */
export function readRecords(folders: readonly string[] = RECORD_FOLDERS): ResolvconfRecord[] | undefined {
  for (const folder of folders) {
    try {
      const names = [...Deno.readDirSync(folder)].filter(({ isFile }) => isFile).map(({ name }) => name);
      return names.slice(0, MAX_RECORDS).sort().flatMap((name) => {
        const text = recordText(`${folder}/${name}`);
        return text === undefined ? [] : [{ name, text }];
      });
    } catch {
      // Not here, or gone while we read.
    }
  }
  return undefined;
}

/** Undefined where it is no record that anybody would write. */
function recordText(path: string): string | undefined {
  try {
    return readSmallText(path).trim();
  } catch (error) {
    if (error instanceof UnfitFile) return undefined;
    throw error;
  }
}

/**
 * Returns the name under which a record about `device` comes first: Debian's sorts by the patterns of interface-order(5),
 * of which `order` is the text, and has no other way.
 */
export function recordName(kind: "debian" | "openresolv", device: string, order: string | undefined): string {
  if (kind === "openresolv") return `${device}.fz`;
  const patterns = (order ?? "").split("\n").map((line) => line.replace(/#.*/, "").trim());
  const prefix = patterns.map((line) => /^([A-Za-z0-9-]+)\*$/.exec(line)?.[1]).find((word) =>
    word !== undefined
  );
  return `${prefix ?? "tun"}.${device}`;
}

/** What openresolv has while it works, with the process's id in "pid". */
export const TOOL_LOCK = "/run/resolvconf/lock";
/** Where Debian's and openresolv keep their records. */
export const RECORD_FOLDERS = ["/run/resolvconf/interface", "/run/resolvconf/interfaces"];
const MAX_PROGRAM = 65_536;
const MAX_LINES = 4096;
const MAX_RECORDS = 256;
