/** The running session of a profile, as sign-in and sign-out deal with it. */

import { Fault } from "../lib/base/fault.ts";
import type { StatusDocument } from "../lib/control/api.ts";
import type { Control } from "../lib/control/control.ts";
import type { CliContext } from "./context.ts";
import { pause } from "./pause.ts";

/** A session that runs. */
export interface FoundSession {
  /** Undefined if this user may only ask it. */
  readonly control: Control | undefined;
  readonly status: StatusDocument;
}

/** How long a session may take to end, and how often to look. */
const STOP_LIMIT_MS = 20_000;
const STOP_POLL_MS = 100;

/** Returns the session that runs on this machine, whoever's profile it has; undefined if none can be asked. */
export async function findSession(context: CliContext): Promise<FoundSession | undefined> {
  const control = await reach(context, "change");
  const reader = control ?? await reach(context, "read");
  if (reader === undefined) return undefined;
  try {
    return { control, status: await reader.ask("status", {}) };
  } catch (error) {
    if (error instanceof Fault && isAway(error)) return undefined;
    throw error;
  }
}

/** Stops a session and waits until it is gone. Throws `Fault` "timeout" if it stays. */
export async function stopSession(context: CliContext, control: Control): Promise<void> {
  try {
    await control.ask("stop", {});
  } catch (error) {
    if (!(error instanceof Fault && isAway(error))) throw error;
  }
  const deadline = performance.now() + STOP_LIMIT_MS;
  while (await reach(context, "change") !== undefined) {
    if (performance.now() > deadline) {
      throw new Fault("timeout", "Cannot sign out: the session does not end", {
        next: "See `fz log`, then try again.",
      });
    }
    await pause(STOP_POLL_MS);
  }
}

async function reach(context: CliContext, authority: "read" | "change"): Promise<Control | undefined> {
  try {
    return await context.host.control(authority);
  } catch (error) {
    if (error instanceof Fault && isAway(error)) return undefined;
    throw error;
  }
}

function isAway({ code }: Fault): boolean {
  return code === "not-running" || code === "privilege";
}
