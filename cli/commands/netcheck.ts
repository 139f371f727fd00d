/** `fz netcheck`: what the network between this machine, the portal and the relays lets through. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { Fault } from "../../lib/base/fault.ts";
import {
  type FamilyReport,
  judgeNetwork,
  MAX_CLOCK_SKEW_MS,
  netcheckDocumentOf,
  type NetcheckFacts,
  type NetcheckReport,
  type PortalFacts,
} from "../../lib/control/netcheck.ts";
import { withProgress } from "../busy.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK, exitCodeOf } from "../exit.ts";
import { formatMs } from "../format.ts";
import { plainFlag } from "../options.ts";
import { printFacts, printJson } from "../output.ts";
import { sessionSettings, settingOptions } from "../session_options.ts";
import { renderTable } from "../table.ts";
import { findToken } from "../token.ts";

export const netcheckCommand = defineCommand({
  name: "netcheck",
  brief: message`Measure what the network lets through to the portal and the relays.`,
  description:
    message`Measures the way to the portal and asks the relays by UDP: how far they are, which address they \
see, and what kind of NAT is in between. The relays are the running session's; without one the portal is asked for \
them with the stored credential. Exits with 5 if no connection can be made.`,
  options: () =>
    object({
      ...settingOptions(["apiUrl", "tokenPath", "name", "id"]),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ json, ...options }, context) {
    const { settings } = await sessionSettings(context, options);
    const { apiUrl, tokenPath, name, id } = settings;
    const found = await findToken(context, tokenPath).catch((error: unknown) => {
      // A credential that cannot be used is "fz whoami"'s business; the rest can be measured.
      if (error instanceof Fault) return undefined;
      throw error;
    });
    const request = { apiUrl, token: found?.token, name, id };
    const measure = () => context.host.netcheck(request, new AbortController().signal);
    const facts = await withProgress(context, "measuring the way to the portal and the relays", measure);
    const report = judgeNetwork(facts);
    if (json) printJson(context, netcheckDocumentOf(facts, report));
    else print(facts, report, context);
    return report.problem === undefined ? EXIT_OK : exitCodeOf(new Fault(report.problem, ""));
  },
});

function print(facts: NetcheckFacts, report: NetcheckReport, context: CliContext): void {
  const { stdout } = context;
  const { clockSkewMs } = facts.portal;
  printFacts(context, [
    ["Verdict", report.verdict],
    ["Portal", describePortal(facts.portal)],
    ...(clockSkewMs === undefined ? [] : [["Clock", describeClock(clockSkewMs)] as const]),
    ...(facts.relays.length > 0
      ? report.families.map((family) => [`IPv${family.family}`, describeFamily(family)] as const)
      : [["Relays", facts.relayFailure ?? "the portal names none"] as const]),
  ]);
  if (facts.relays.length === 0) return;
  const columns = [{ title: "RELAY" }, { title: "RTT", align: "right" as const }, { title: "SEES US AS" }];
  const rows = facts.relays.map(({ relay, rttMs, mapped }) => [
    relay.toString(),
    rttMs === undefined ? "no answer" : formatMs(rttMs),
    mapped?.toString() ?? "",
  ]);
  stdout.write(`\n${renderTable(columns, rows, { width: stdout.columns }).join("\n")}\n`);
}

function describePortal({ url, lookupMs, connectMs, tlsMs, answerMs, failure }: PortalFacts): string {
  const steps = ([["name", lookupMs], ["TCP", connectMs], ["TLS", tlsMs], ["answer", answerMs]] as const)
    .flatMap(([step, ms]) => ms === undefined ? [] : [`${step} ${formatMs(ms)}`]);
  return `${url}: ${[...steps, ...(failure === undefined ? [] : [failure])].join(", ")}`;
}

function describeClock(skewMs: number): string {
  // The portal tells whole seconds only.
  if (Math.abs(skewMs) < 2000) return "right";
  const way = skewMs > 0 ? "ahead of" : "behind";
  const size = `${Math.round(Math.abs(skewMs) / 1000)} s ${way} the portal's`;
  return Math.abs(skewMs) > MAX_CLOCK_SKEW_MS ? `wrong: ${size}` : size;
}

function describeFamily({ asked, answered, nat }: FamilyReport): string {
  if (asked === 0) return "no relay has such an address";
  if (answered === 0) return "no relay answers";
  const relays = `${answered} of ${asked} ${asked === 1 ? "relay answers" : "relays answer"}`;
  return `${relays}; NAT: ${NAT_WORDS[nat]}`;
}

const NAT_WORDS: Readonly<Record<FamilyReport["nat"], string>> = {
  "none": "none",
  "endpoint-independent": "endpoint-independent, the same port for all",
  "symmetric": "symmetric, another port for each",
  "unknown": "unknown, two relays are needed to tell",
};
