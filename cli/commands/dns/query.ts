/** `fz dns query`: asks the session for a name, as an application would. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { printable } from "../../../lib/base/text.ts";
import { defineCommand } from "../../command.ts";
import { answerLines } from "../../dns_text.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { printJson } from "../../output.ts";

export const queryCommand = defineCommand({
  name: "query",
  brief: message`Ask the session for a name, and tell who answered.`,
  description: message`Asks as an application would, past the caches of this machine's own resolver.`,
  options: () =>
    object({
      name: argument(string({ metavar: "NAME" }), { description: message`The name.` }),
      type: optional(
        argument(string({ metavar: "TYPE" }), {
          description: message`Type of record: A (the default), AAAA, TXT, SRV, MX and others.`,
        }),
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ name, type, json }, context) {
    const control = await context.host.control("read");
    const { schema: _, ...answer } = await control.ask("dnsQuery", {
      name,
      ...(type === undefined ? {} : { type }),
    });
    if (json) printJson(context, answer);
    else for (const line of answerLines(answer)) context.stdout.write(`${printable(line)}\n`);
    return EXIT_OK;
  },
});
