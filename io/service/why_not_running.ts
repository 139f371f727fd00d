/** Why nobody answers on a control socket: nobody ever did, he was killed, or he is not there yet. */

import { Fault } from "../../lib/base/fault.ts";
import type { Paths } from "../../lib/control/paths.ts";
import { readLastExit } from "./exit_file.ts";
import { readSessionTrace } from "./session_file.ts";

/** Returns the Fault ("not-running") that tells why no session of `candidates`, best first, answers. */
export async function whyNotRunning(candidates: readonly Paths[]): Promise<Fault> {
  for (const [index, paths] of candidates.entries()) {
    const trace = await readSessionTrace(paths);
    if (trace.type === "killed") {
      const pid = trace.record === undefined ? "" : ` (pid ${trace.record.pid})`;
      // The first place is the user's own.
      return index === 0
        ? new Fault("not-running", `The session was killed${pid} and left things behind`, {
          next: "Run `fz cleanup` to undo them, or `fz up` to connect again.",
        })
        : new Fault("not-running", `The session of root was killed${pid} and left things behind`, {
          next: "Run `sudo fz cleanup` to undo them.",
        });
    }
    if (trace.type === "alive") {
      return new Fault(
        "not-running",
        `The session (pid ${trace.record.pid}) does not answer: it is starting or ending`,
        {
          next: "Try again in a moment.",
        },
      );
    }
  }
  const [own] = candidates;
  const last = own === undefined ? undefined : await readLastExit(own);
  if (last !== undefined) {
    const { message, next } = last.fault;
    return new Fault("not-running", `No session runs; the last one failed: ${message}`, {
      next: next ?? "Run `fz up` to try again.",
    });
  }
  const other = own === undefined ? undefined : await sessionOfUser(own);
  if (other !== undefined) {
    return new Fault(
      "not-running",
      `No session of root runs, but one of user ${other.user} (pid ${other.pid})`,
      {
        next: "Ask for it as that user.",
      },
    );
  }
  return new Fault("not-running", "No session runs", { next: "Run `fz up` to connect." });
}

/** Most users whose sessions are looked for. */
const MAX_USERS = 100;

/** Returns the session of an ordinary user where root, whose place is `own`, asks for his and has none. */
async function sessionOfUser(
  own: Paths,
): Promise<{ readonly user: string; readonly pid: number } | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || own.runtime !== ROOT_RUNTIME) return undefined;
  try {
    let left = MAX_USERS;
    for await (const { name: user } of Deno.readDir(USER_RUNTIMES)) {
      if (left-- <= 0) break;
      const trace = await readSessionTrace({ sessionFile: `${USER_RUNTIMES}/${user}/fz/session.json` });
      if (trace.type === "alive") return { user, pid: trace.record.pid };
    }
  } catch {
    // No user is signed in to this machine.
  }
  return undefined;
}

const ROOT_RUNTIME = "/run/fz";
/** Where systemd makes a folder for each user: XDG_RUNTIME_DIR. */
const USER_RUNTIMES = "/run/user";
