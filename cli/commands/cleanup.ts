/** `fz cleanup`: undoes what a killed session left behind. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import type { CleanupReport } from "../../lib/control/config.ts";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { capitalised, formatCount } from "../format.ts";
import { plainFlag } from "../options.ts";
import { printJson, printText } from "../output.ts";

export const cleanupCommand = defineCommand({
  name: "cleanup",
  brief: message`Undo what a killed session left behind.`,
  description:
    message`Restores DNS and removes rules, routes, sockets and files of a session that could not do so itself. \
Refuses while a session runs. The next session does the same at its start.`,
  options: () => object({ json: plainFlag(["--json"], { description: message`Print one JSON document.` }) }),
  async run({ json }, context) {
    const report = await context.host.cleanUp();
    if (report.otherClient !== undefined) throw report.otherClient;
    if (json) printJson(context, { ...report });
    else {
      const text = isNothing(report) ? "Nothing to clean up" : describeCleanup(report);
      for (const line of [capitalised(text), ...detailsOf(report)]) printText(context.stdout, line);
    }
    return EXIT_OK;
  },
});

/** Returns whether nothing was undone. */
export function isNothing(
  { network, wasDnsRestored, changes = [], files, setAside = [] }: CleanupReport,
): boolean {
  return !wasDnsRestored && [network, changes, files, setAside].every(({ length }) => length === 0);
}

/** Returns what was undone, on one line. */
export function describeCleanup(
  { session, network, wasDnsRestored, changes = [], files, setAside = [] }: CleanupReport,
): string {
  // DNS is one of them.
  const more = changes.length - (wasDnsRestored ? 1 : 0);
  const parts = [
    ...(wasDnsRestored ? ["restored DNS"] : []),
    ...(network.length > 0
      ? [`removed ${formatCount(network.length, "rule or route", "rules and routes")}`]
      : []),
    ...(more > 0 ? [`undid ${formatCount(more, "noted change")}`] : []),
    ...(setAside.length > 0 ? ["set a garbled journal aside"] : []),
    ...(files.length > 0 ? [`removed ${formatCount(files.length, "file")}`] : []),
  ];
  const whose = session === undefined ? "" : ` of the session with pid ${session.pid}`;
  return `${parts.join(", ")}${whose}`;
}

function detailsOf({ changes = [], setAside = [] }: CleanupReport): string[] {
  return [...changes.map((change) => `  ${change}`), ...setAside.map((path) => `  ${path}`)];
}
