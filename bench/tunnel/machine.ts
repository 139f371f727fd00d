/** What the figures depend on besides the tunnels: the machine, and what else it was doing. */

/** Returns the machine in a few words. */
export function describeMachine(): string {
  const model = /^model name\s*:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ??
    Deno.build.arch;
  return `${navigator.hardwareConcurrency} × ${model}, Linux ${Deno.osRelease()}`;
}

/** Measures what part of the machine's CPU time goes to processes outside of this lab. */
export class Bystanders {
  readonly #all = machineTicks();
  readonly #ours = labTicks();

  /** Returns their part since this was made, 0 to 1. */
  get share(): number {
    const all = machineTicks();
    const others = all.busy - this.#all.busy - (labTicks() - this.#ours);
    return Math.max(0, others) / (all.total - this.#all.total);
  }
}

/** Returns the clock ticks of all cores so far (proc(5), /proc/stat). */
function machineTicks(): { busy: number; total: number } {
  const line = Deno.readTextFileSync("/proc/stat").split("\n")[0]!;
  const [user, nice, system, idle, iowait, irq, softirq, steal] = line.split(/\s+/).slice(1).map(Number);
  const busy = user! + nice! + system! + irq! + softirq! + steal!;
  return { busy, total: busy + idle! + iowait! };
}

/** Returns the ticks of all processes of this namespace, those that have ended and were waited for included. */
function labTicks(): number {
  let ticks = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = Deno.readTextFileSync(`/proc/${name}/stat`);
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
      ticks += fields[11]! + fields[12]! + fields[13]! + fields[14]!;
    } catch {
      // It has ended just now.
    }
  }
  return ticks;
}
