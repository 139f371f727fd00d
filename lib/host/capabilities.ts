/**
 * Capabilities of a Linux process (capabilities(7)), as /proc/self/status tells of them, and which of them a root process
 * must keep to go on as it is: root without capabilities is an ordinary user who owns what root owns.
 */

/** Numbers of the capabilities that decisions hang on (linux/capability.h). */
export const Capability = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  DAC_READ_SEARCH: 2,
  SETGID: 6,
  SETPCAP: 8,
  NET_BIND_SERVICE: 10,
  NET_ADMIN: 12,
  MKNOD: 27,
} as const;

/** A set of capabilities: bit n is capability n. */
export type CapabilitySet = bigint;

/** What a process may, and who it is to the file system. */
export interface Credentials {
  readonly uid: number;
  /** The group and the supplementary ones. */
  readonly groups: readonly number[];
  readonly effective: CapabilitySet;
  readonly permitted: CapabilitySet;
  readonly bounding: CapabilitySet;
}

/** A file or folder that a session needs, and the folders that lead to it. */
export interface Need {
  readonly path: string;
  /** To read and enter it, or also to write it. */
  readonly access: "read" | "write";
  /** Owners and modes from the root folder to the last part that exists. */
  readonly steps: readonly Step[];
}

/** What the file system says of one part of a path. */
export interface Step {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly isFolder: boolean;
}

/** What is kept beside what the role needs anyway. */
export interface Kept {
  readonly set: CapabilitySet;
  /** Why, a sentence for each; none is the usual case. */
  readonly reasons: readonly string[];
}

/** Returns the set of the capabilities of those numbers. */
export function capabilitySet(...numbers: readonly number[]): CapabilitySet {
  return numbers.reduce((set, number) => set | (1n << BigInt(number)), 0n);
}

/** Returns whether `set` has the capability of that number. */
export function hasCapability(set: CapabilitySet, number: number): boolean {
  return ((set >> BigInt(number)) & 1n) === 1n;
}

/** Returns what the text of /proc/PID/status says (proc_pid_status(5)); undefined if it is none. */
export function parseCredentials(text: string): Credentials | undefined {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1]?.trim();
  const set = (name: string) => {
    const value = field(name);
    return value !== undefined && /^[0-9a-f]{1,16}$/.test(value) ? BigInt(`0x${value}`) : undefined;
  };
  const numbers = (name: string) =>
    (field(name) ?? "").split(/\s+/).filter((word) => /^\d{1,10}$/.test(word)).map(Number);
  // Real, effective, saved, file system.
  const [, uid] = numbers("Uid");
  const [, gid] = numbers("Gid");
  const [effective, permitted, bounding] = [set("CapEff"), set("CapPrm"), set("CapBnd")];
  if (uid === undefined || gid === undefined) return undefined;
  if (effective === undefined || permitted === undefined || bounding === undefined) return undefined;
  return { uid, groups: [gid, ...numbers("Groups")], effective, permitted, bounding };
}

/**
 * Returns what root, as a member of `groups`, must keep to reach `needs`: the right to read everything where a folder of
 * somebody's is closed, the right to write everything where it is to write there, and to give it away where that is another's.
 */
export function keptForFiles(groups: readonly number[], needs: readonly Need[]): Kept {
  let set = 0n;
  const reasons: string[] = [];
  for (const need of needs) {
    const closed = obstacles({ uid: 0, groups }, need);
    // The right to write is that to enter and to read, too.
    const worst = closed.find(({ want }) => want === WRITE) ?? closed[0];
    if (worst === undefined) continue;
    set |= capabilitySet(worst.want === WRITE ? Capability.DAC_OVERRIDE : Capability.DAC_READ_SEARCH);
    // What is written in another's folder is given to him, who is to read it.
    if (worst.want === WRITE && worst.step.uid !== 0) set |= capabilitySet(Capability.CHOWN);
    const reason = `"${need.path}": ${describeObstacle(worst)}`;
    if (!reasons.includes(reason)) reasons.push(reason);
  }
  return { set, reasons };
}

/** Returns whether the user `who`, without any capability, may reach `need`. */
export function isReachable(
  who: { readonly uid: number; readonly groups: readonly number[] },
  need: Need,
): boolean {
  return obstacles(who, need).length === 0;
}

const READ = 4;
const WRITE = 2;
const ENTER = 1;

interface Obstacle {
  readonly step: Step;
  readonly want: number;
}

function obstacles(
  who: { readonly uid: number; readonly groups: readonly number[] },
  { path, access, steps }: Need,
): readonly Obstacle[] {
  const found: Obstacle[] = [];
  for (const [index, step] of steps.entries()) {
    const isLast = index === steps.length - 1;
    const isMissing = isLast && step.path !== path;
    if (step.isFolder && !permits(who, step, ENTER)) found.push({ step, want: ENTER });
    if (!isLast) continue;
    // What is not there is made by whoever may write to the folder; what is only read and missing is nobody's trouble.
    if (access === "write" && !permits(who, step, WRITE)) found.push({ step, want: WRITE });
    if (access === "read" && !isMissing && !permits(who, step, READ)) found.push({ step, want: READ });
  }
  return found;
}

function describeObstacle({ step: { path, uid, mode }, want }: Obstacle): string {
  const verb = want === WRITE ? "write" : "enter";
  return (mode & (want << 6)) === 0
    ? `nobody may ${verb} "${path}", not even user ${uid}, whose it is`
    : `only user ${uid} may ${verb} "${path}"`;
}

/** The first class that fits decides, also when it allows less than the others: path_resolution(7). */
function permits(
  { uid, groups }: { readonly uid: number; readonly groups: readonly number[] },
  step: Step,
  want: number,
): boolean {
  const bits = step.uid === uid ? step.mode >> 6 : groups.includes(step.gid) ? step.mode >> 3 : step.mode;
  return (bits & want) === want;
}
