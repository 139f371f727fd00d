/**
 * Giving capabilities away for good (capabilities(7), execve(2)). They belong to threads, and the runtime has many: so
 * the one thread that asks gives up what a new program image could be given, and the process becomes that image, with
 * the same process id, arguments, environment and open standard streams. What remains is the same in all its threads.
 */

import { type CapabilitySet, hasCapability, parseCredentials } from "../../lib/host/capabilities.ts";
import type { Credentials } from "../../lib/host/capabilities.ts";
import { arena } from "../memory.ts";
import { errno, libc } from "./symbols.ts";

/** Returns what this process may; undefined where /proc does not tell. */
export function readCredentials(): Credentials | undefined {
  try {
    return parseCredentials(Deno.readTextFileSync("/proc/self/status"));
  } catch {
    return undefined;
  }
}

/** Makes this process a member of `group` too. Needs CAP_SETGID; returns whether it is one. */
export function joinGroup(group: number, current: readonly number[]): boolean {
  if (current.includes(group)) return true;
  const groups = [...new Set([...current, group])];
  const length = groups.length * 4;
  const list = arena.allocate(length);
  try {
    for (const [index, id] of groups.entries()) arena.setU32(list + index * 4, id);
    return libc.setgroups(BigInt(groups.length), arena.address(list)) === 0;
  } finally {
    arena.release(list, length);
  }
}

/**
 * Becomes the same program anew, which as root's can have no capabilities but `kept`, in any thread or child. Returns
 * only if it failed, with the error number of the step that did not work.
 */
export function becomeReduced(kept: CapabilitySet): number {
  for (let capability = 0; capability < MAX_CAPABILITIES; capability++) {
    if (hasCapability(kept, capability)) continue;
    const isThere = prctl(PR_CAPBSET_READ, capability);
    if (isThere < 0) break;
    if (isThere === 1 && prctl(PR_CAPBSET_DROP, capability) !== 0) return errno();
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL) !== 0) return errno();
  if (!clearInheritable()) return errno();
  // Programs that we run gain nothing by a set-user-ID bit either.
  prctl(PR_SET_NO_NEW_PRIVS, 1);
  return executeAnew();
}

function prctl(option: number, argument: number): number {
  return libc.prctl(option, BigInt(argument), 0n, 0n, 0n);
}

/** What is inheritable would come back in the new image beside what is left in the bounding set. */
function clearInheritable(): boolean {
  const header = arena.allocate(CAPABILITY_HEADER);
  const data = arena.allocate(CAPABILITY_DATA);
  try {
    arena.setU32(header, LINUX_CAPABILITY_VERSION_3);
    if (libc.capget(arena.address(header), arena.address(data)) !== 0) return false;
    // Two of { effective, permitted, inheritable }: the lower and the upper 32 bits.
    arena.setU32(data + 8, 0);
    arena.setU32(data + 20, 0);
    return libc.capset(arena.address(header), arena.address(data)) === 0;
  } finally {
    arena.release(data, CAPABILITY_DATA);
    arena.release(header, CAPABILITY_HEADER);
  }
}

/** The C library passes the environment on as it is, without what was deleted from it. */
function executeAnew(): number {
  const program = new TextEncoder().encode(`${Deno.execPath()}\0`);
  // As the process was started, byte by byte: each argument ends with a zero.
  const words = Deno.readFileSync("/proc/self/cmdline");
  const starts = [0];
  for (let index = 0; index < words.length - 1; index++) if (words[index] === 0) starts.push(index + 1);
  const length = program.length + words.length + (starts.length + 2) * 8;
  const pointers = arena.allocate(length);
  const text = pointers + (starts.length + 2) * 8;
  arena.bytes.set(program, text);
  arena.bytes.set(words, text + program.length);
  for (const [index, start] of starts.entries()) {
    arena.setPointer(pointers + index * 8, text + program.length + start);
  }
  libc.execv(arena.address(text), arena.address(pointers));
  const failure = errno();
  arena.release(pointers, length);
  return failure;
}

const MAX_CAPABILITIES = 64;
/** linux/prctl.h */
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
/** linux/capability.h */
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const CAPABILITY_HEADER = 8;
const CAPABILITY_DATA = 24;
