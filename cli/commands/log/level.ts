/** `fz log level`: how much the running session logs. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { defineCommand } from "../../command.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { printJson } from "../../output.ts";
import { LEVEL } from "../../values.ts";

/** Goes back to what the session was started with. */
const RESET = "reset";

export const levelCommand = defineCommand({
  name: "level",
  brief: message`Show or change how much the running session logs.`,
  description:
    message`Without an argument prints the filter in force. With one changes it until the session ends: \
a level ("debug"), a list of levels as in RUST_LOG, or "reset" for what was asked for at the start.`,
  options: () =>
    object({
      filter: optional(argument(LEVEL, { description: message`A level, a list of levels, or "reset".` })),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ filter, json }, context) {
    const control = await context.host.control(filter === undefined ? "read" : "change");
    const answer = filter === undefined
      ? await control.ask("logFilter", {})
      : await control.ask("setLogFilter", filter === RESET ? {} : { filter });
    if (json) printJson(context, { filter: answer.filter });
    else context.stdout.write(`${answer.filter}\n`);
    return EXIT_OK;
  },
});
