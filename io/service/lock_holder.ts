/** Who holds a lock, where the kernel tells: proc_locks(5). */

/** Returns the process that holds the lock at `path`; undefined if that is not known, or nobody does. */
export function lockHolder(path: string): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  try {
    const { ino } = Deno.statSync(path);
    for (const line of Deno.readTextFileSync("/proc/locks").split("\n")) {
      const [, type, , , pid, file] = line.trim().split(/\s+/);
      if (type === "FLOCK" && Number(pid) > 0 && file?.split(":")[2] === String(ino)) return Number(pid);
    }
  } catch {
    // Hidden, or gone meanwhile.
  }
  return undefined;
}

/** Returns who that is, and what to do if it stays so; for a message about the lock at `path`. */
export function describeLockHolder(path: string): { readonly who: string; readonly next: string } {
  const pid = lockHolder(path);
  return pid === undefined
    ? { who: "another process", next: "Try again in a moment." }
    : { who: `process ${pid}`, next: `Try again in a moment; if it stays so, end it with "kill ${pid}".` };
}
