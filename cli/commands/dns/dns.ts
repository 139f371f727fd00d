/** `fz dns`: who answers names, and what. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { defineCommand, defineGroup } from "../../command.ts";
import { dnsFacts } from "../../dns_text.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { printFacts, printJson } from "../../output.ts";
import { queryCommand } from "./query.ts";

const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell who answers names on this machine.`,
  description:
    message`Tells how names reach the session, which servers it asks, which names it answers itself, and how many it answered.`,
  options: () => object({ json: plainFlag(["--json"], { description: message`Print one JSON document.` }) }),
  async run({ json }, context) {
    const control = await context.host.control("read");
    const dns = await control.ask("dns", {});
    if (json) printJson(context, { ...dns });
    else printFacts(context, dnsFacts(dns));
    return EXIT_OK;
  },
});

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
