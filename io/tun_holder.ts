/** Who has a TUN device in use: the kernel tells of each open file of /dev/net/tun which device it is (proc(5)). */

import { Fault } from "../lib/base/fault.ts";

/** A process that has a TUN device in use. */
export interface TunHolder {
  readonly pid: number;
  readonly uid: number | undefined;
}

/** Most open files that are looked at. */
const MAX_FILES = 100_000;

/** Carries what root saw to itself without the right to see it: "DEVICE PID UID" for each, with commas between. */
const HINTS = "FZ_TUN_HOLDERS";

/**
 * Returns which other process has `device`; undefined if none is seen: an ordinary user sees only his own, and so does
 * root after it has given up its rights, but for what it saw before.
 */
export function findTunHolder(device: string): TunHolder | undefined {
  if (Deno.build.os !== "linux") return undefined;
  return scan(device).get(device) ?? hinted(device);
}

/** Looks at all holders while this process may, for the time when it may not any more. */
export function noteTunHolders(): void {
  const isThere = entriesOf("/sys/class/net").some(({ name }) => isFile(`/sys/class/net/${name}/tun_flags`));
  if (!isThere) return;
  const holders = [...scan(undefined)].map(([device, { pid, uid }]) => `${device} ${pid} ${uid}`);
  if (holders.length > 0) Deno.env.set(HINTS, holders.join(","));
}

/** Returns the holders of all devices, or as soon as it is found of the one that is `wanted`. */
function scan(wanted: string | undefined): Map<string, TunHolder> {
  const found = new Map<string, TunHolder>();
  const network = linkAt("/proc/self/ns/net");
  let left = MAX_FILES;
  for (const { name } of entriesOf("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === Deno.pid || linkAt(`/proc/${pid}/ns/net`) !== network) continue;
    for (const { name: file } of entriesOf(`/proc/${pid}/fd`)) {
      if (left-- <= 0) return found;
      if (linkAt(`/proc/${pid}/fd/${file}`) !== "/dev/net/tun") continue;
      const device = deviceOf(`/proc/${pid}/fdinfo/${file}`);
      if (device === undefined) continue;
      found.set(device, { pid, uid: ownerOf(`/proc/${pid}`) });
      if (device === wanted) return found;
    }
  }
  return found;
}

/** Whoever was seen there and has a process of that id and owner still. */
function hinted(device: string): TunHolder | undefined {
  for (const hint of (Deno.env.get(HINTS) ?? "").split(",")) {
    const [name, pid, uid] = hint.split(" ");
    if (name !== device || uid === undefined || !/^\d+$/.test(uid)) continue;
    if (ownerOf(`/proc/${pid}`) === Number(uid)) return { pid: Number(pid), uid: Number(uid) };
  }
  return undefined;
}

/** Returns the Fault ("tun") that begins with `what`, for a client that runs on `device`. */
export function otherClientFault(what: string, device: string): Fault {
  const holder = findTunHolder(device);
  const message = `${what}: another client runs on device "${device}"${describeTunHolder(holder)}`;
  return new Fault("tun", message, { next: stepFor(holder) });
}

/** Returns who it is, in parentheses; nothing if that is not known. */
export function describeTunHolder(holder: TunHolder | undefined): string {
  if (holder === undefined) return "";
  const { pid, uid } = holder;
  return uid === undefined || uid === Deno.uid() ? ` (pid ${pid})` : ` (pid ${pid} of user ${uid})`;
}

function stepFor(holder: TunHolder | undefined): string {
  const isRoot = Deno.uid() === 0 || Deno.build.os === "windows";
  if (holder === undefined) {
    return isRoot
      ? "Stop it where it was started."
      : "It may be another user's session: stop it where it was started, or run `sudo fz down`.";
  }
  const { pid, uid } = holder;
  return uid === undefined || uid === Deno.uid()
    ? `Stop it where it was started, or run "kill ${pid}".`
    : `Run \`fz down\` as that user, or "kill ${pid}".`;
}

function deviceOf(path: string): string | undefined {
  try {
    return /^iff:\t(.+)$/m.exec(Deno.readTextFileSync(path))?.[1];
  } catch {
    return undefined;
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).uid ?? undefined;
  } catch {
    return undefined;
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function linkAt(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** Nothing for a folder that is gone, or another user's. */
function entriesOf(path: string): readonly Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(path)];
  } catch {
    return [];
  }
}
