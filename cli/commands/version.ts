/** `fz version`: which program this is and what it found on this machine. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { VERSION } from "../../lib/control/version.ts";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { printFacts, printJson } from "../output.ts";

export const versionCommand = defineCommand({
  name: "version",
  brief: message`Print the version, and with --verbose what it found on this machine.`,
  description:
    message`Prints the version. With --verbose also the runtime, the kernel, the libraries that encrypt and \
the offloads that the kernel offers.`,
  options: () =>
    object({
      verbose: plainFlag(["-v", "--verbose"], { description: message`Say what was found on this machine.` }),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ verbose, json }, context) {
    const facts = verbose ? await context.host.versionFacts() : {};
    if (json) printJson(context, { version: VERSION, ...facts });
    else {
      context.stdout.write(`fz ${VERSION}\n`);
      if (verbose) printFacts(context, Object.entries(facts));
    }
    return EXIT_OK;
  },
});
