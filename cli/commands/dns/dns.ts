/** `fz dns`: who answers names, and what. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { Fault } from "../../../lib/base/fault.ts";
import type { Control } from "../../../lib/control/control.ts";
import { defineCommand, defineGroup } from "../../command.ts";
import type { CliContext } from "../../context.ts";
import { dnsFacts, dnsOutlookFacts } from "../../dns_text.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { printFacts, printJson } from "../../output.ts";
import { sessionSettings } from "../../session_options.ts";
import { queryCommand } from "./query.ts";

const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell who answers names on this machine.`,
  description:
    message`Tells how names reach the session and why in this way, which servers it asks, which names it answers itself, and \
how many it answered. Without a session it tells which way the next one would take here.`,
  options: () => object({ json: plainFlag(["--json"], { description: message`Print one JSON document.` }) }),
  async run({ json }, context) {
    const control = await sessionIfAny(context);
    if (control === undefined) {
      const { settings: { dnsControl, tunName } } = await sessionSettings(context, {});
      const outlook = await context.host.dnsOutlook({ dnsControl, tunName });
      const { control, reason, evidence, failure: problem, addresses: systemResolvers } = outlook;
      if (json) {
        printJson(context, {
          ...{ session: false, control, reason, evidence, systemResolvers },
          ...(problem === undefined ? {} : { problem }),
        });
      } else printFacts(context, dnsOutlookFacts(outlook));
      return EXIT_OK;
    }
    const dns = await control.ask("dns", {});
    if (json) printJson(context, { ...dns });
    else printFacts(context, dnsFacts(dns));
    return EXIT_OK;
  },
});

async function sessionIfAny(context: CliContext): Promise<Control | undefined> {
  try {
    return await context.host.control("read");
  } catch (error) {
    if (error instanceof Fault && error.code === "not-running") return undefined;
    throw error;
  }
}

export const dnsCommand = defineGroup({
  name: "dns",
  brief: message`Tell who answers names, and ask for one.`,
  description:
    message`Names of resources are answered by the session itself; all others go to the servers that the account prescribes, \
or to those of this machine.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz dns status")}${lineBreak()}
  ${commandLine("fz dns query gitlab.corp.example AAAA")}`,
  default: statusCommand,
  commands: [statusCommand, queryCommand],
});
