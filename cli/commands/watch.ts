/** `fz watch`: what happens to the session, as it happens. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { defineCommand } from "../command.ts";
import { clockText, eventText } from "../event_text.ts";
import { EXIT_OK } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { painter } from "../output.ts";
import { whenUnwanted } from "../unwanted.ts";

export const watchCommand = defineCommand({
  name: "watch",
  brief: message`Follow what happens to the session.`,
  description:
    message`Prints an event a line until the session ends or Ctrl+C: for people on a terminal, as one JSON document a line in \
a pipe. The first is the status. Events and fields are only ever added; docs/control.md lists them. Exits with 0 when the session \
ends in good order.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz watch")}${lineBreak()}
  ${commandLine("fz watch | jq -r 'select(.event == \"path-changed\") | .path.kind'")}`,
  options: () =>
    object({
      json: plainFlag(["--json"], { description: message`Print JSON also on a terminal.` }),
    }),
  async run({ json }, context) {
    const { stdout } = context;
    const isForPrograms = json || !stdout.isTerminal;
    const paint = painter(stdout, context.env);
    const abort = new AbortController();
    const unlisten = whenUnwanted(context, () => abort.abort());
    try {
      const control = await context.host.control("read");
      for await (const event of control.lines("events", {}, abort.signal)) {
        stdout.write(
          isForPrograms
            ? `${JSON.stringify({ schema: 1, ...event })}\n`
            : `${paint("dim", clockText(event.time))}  ${eventText(event)}\n`,
        );
      }
      return EXIT_OK;
    } finally {
      unlisten();
    }
  },
});
