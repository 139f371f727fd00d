/** `fz down`: ends the session, gracefully, and waits until it is gone. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import type { CleanupReport } from "../../lib/control/config.ts";
import type { Control } from "../../lib/control/control.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { DURATION, plainFlag } from "../options.ts";
import { printJson, printNote } from "../output.ts";
import { pause } from "../pause.ts";
import { describeCleanup, isNothing } from "./cleanup.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const RETRY_MS = 100;

export const downCommand = defineCommand({
  name: "down",
  brief: message`Disconnect, and keep the credential.`,
  description:
    message`Ends the session and waits until everything that it changed on this machine is undone. What a \
session that was killed left behind is undone, too. Exits with 8 where this machine's DNS could not be put back.`,
  options: () =>
    object({
      timeout: withDefault(
        option("--timeout", DURATION, { description: message`How long to wait for the end.` }),
        DEFAULT_TIMEOUT_MS,
        { message: message`10s` },
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ timeout, json }, context) {
    const deadline = performance.now() + timeout;
    const found = await findSession(context, deadline);
    if (found.type === "none") {
      const { report } = found;
      if (report.otherClient !== undefined) throw report.otherClient;
      if (await stopTries(context)) {
        if (json) printJson(context, { wasConnected: false, ...report, stoppedService: true });
        else context.stdout.write("Was not connected; stopped the service, which was about to try again\n");
        return EXIT_OK;
      }
      if (json) printJson(context, { wasConnected: false, ...report });
      else {
        if (!isNothing(report)) {
          printNote(context, `The session was killed: ${describeCleanup(report)}`);
        }
        context.stdout.write("Was not connected\n");
      }
      return EXIT_OK;
    }
    await stop(found.control, context, deadline);
    if (json) printJson(context, { wasConnected: true });
    else context.stdout.write("Disconnected\n");
    return EXIT_OK;
  },
});

type Found =
  | { readonly type: "session"; readonly control: Control }
  | { readonly type: "none"; readonly report: CleanupReport };

/** Returns the session, or what was undone where there is none. One that is just starting is waited for. */
async function findSession(context: CliContext, deadline: number): Promise<Found> {
  for (;;) {
    try {
      return { type: "session", control: await context.host.control("change") };
    } catch (error) {
      if (!isFault(error, "not-running")) throw error;
    }
    try {
      return { type: "none", report: await context.host.cleanUp() };
    } catch (error) {
      if (!isFault(error, "tun") || performance.now() >= deadline) throw error;
    }
    await pause(RETRY_MS);
  }
}

/** Ends the tries of a service whose session fails at its start. Returns whether there was one, and it is ours to stop. */
async function stopTries(context: CliContext): Promise<boolean> {
  try {
    const supervisor = await context.host.supervisor();
    if ((await supervisor.status()).state !== "activating") return false;
    await supervisor.stop();
    return true;
  } catch (error) {
    // No supervisor, or not for this user.
    if (isFault(error, "not-running") || isFault(error, "privilege")) return false;
    throw error;
  }
}

async function stop(control: Control, context: CliContext, deadline: number): Promise<void> {
  let pid: number;
  try {
    pid = (await control.ask("status", {})).pid;
    await control.ask("stop", {});
  } catch (error) {
    // Somebody else was faster.
    if (isFault(error, "not-running")) return;
    throw error;
  }
  if (await context.host.untilGone(pid, Math.max(deadline - performance.now(), 0))) {
    const why = await context.host.whyEnded(pid);
    if (why !== undefined) throw why;
    return;
  }
  throw new Fault("timeout", `Cannot disconnect: the session (pid ${pid}) does not end`, {
    next: `Run "kill -9 ${pid}", then \`fz cleanup\`.`,
  });
}

function isFault(error: unknown, code: Fault["code"]): boolean {
  return error instanceof Fault && error.code === code;
}
