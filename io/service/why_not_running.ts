/** Why nobody answers on a control socket: nobody ever did, he was killed, or he is not there yet. */

import { Fault } from "../../lib/base/fault.ts";
import type { Paths } from "../../lib/control/paths.ts";
import { readSessionTrace } from "./session_file.ts";

/** Returns the Fault ("not-running") that tells why no session of `candidates`, best first, answers. */
export async function whyNotRunning(candidates: readonly Paths[]): Promise<Fault> {
  for (const paths of candidates) {
    const trace = await readSessionTrace(paths);
    if (trace.type === "killed") {
      const pid = trace.record === undefined ? "" : ` (pid ${trace.record.pid})`;
      return new Fault("not-running", `The session was killed${pid} and left things behind`, {
        next: "Run `fz cleanup` to undo them, or `fz up` to connect again.",
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
  return new Fault("not-running", "No session runs", { next: "Run `fz up` to connect." });
}
