/** The program that keeps services running on this machine: systemd, launchd, or Windows' service control manager. */

import { Fault } from "../../lib/base/fault.ts";
import type { Supervisor } from "../../lib/control/service/service.ts";

/** Returns the supervisor that runs on this machine. Throws a `Fault` that names the alternative where none does. */
export async function findSupervisor(): Promise<Supervisor> {
  switch (Deno.build.os) {
    case "darwin":
      return new (await import("./launchd.ts")).Launchd();
    case "windows":
      return new (await import("./windows.ts")).WindowsServices();
    default: {
      const { isSystemdRunning, Systemd } = await import("./systemd.ts");
      if (isSystemdRunning()) return new Systemd();
      throw new Fault(
        "not-running",
        "Cannot use a service: no supervisor that fz knows (systemd) runs here",
        {
          next: "Use `fz up` for a session in the background, or let your supervisor run `fz run --service`.",
        },
      );
    }
  }
}

/** Throws a `Fault` unless this process is root's; `verb` says what for. */
export function needRoot(verb: string): void {
  if (Deno.uid() === 0 || Deno.build.os === "windows") return;
  throw new Fault("privilege", `Cannot ${verb} the service: only root may`, {
    next: `Run "sudo fz service ${verb}".`,
  });
}

/** Writes `text` to `path` as a whole or not at all; returns whether that changed anything. */
export async function writeDefinition(path: string, text: string): Promise<boolean> {
  if (await readDefinition(path) === text) return false;
  const temporary = `${path}.fz-${Deno.pid}`;
  try {
    await Deno.writeTextFile(temporary, text, { mode: 0o644 });
    await Deno.chmod(temporary, 0o644);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("unexpected", `Cannot write "${path}": ${reason}`, { cause });
  }
  return true;
}

/** Returns the text at `path`, undefined if there is no file. Throws a `Fault` if somebody else made it. */
export async function readDefinition(path: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  if (text.includes("fz service install")) return text;
  throw new Fault("usage", `Cannot touch "${path}": \`fz service install\` has not made it`, {
    next: "Move it away first.",
  });
}
