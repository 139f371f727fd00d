/** `fz metrics`: the session in numbers, for Prometheus. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Fault } from "../../lib/base/fault.ts";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { FILE } from "../options.ts";

/** Longer than any session's; an endless one is not kept. */
const MAX_BYTES = 32 * 2 ** 20;

export const metricsCommand = defineCommand({
  name: "metrics",
  brief: message`Print the session's metrics for Prometheus.`,
  description:
    message`Prints the text that ${"fz run --listen"} serves at /metrics. With ${"--output"} it is put into a file in one step, as \
the textfile collector of node_exporter needs it. Resources, gateways and relays are named by their ids only.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz metrics")}${lineBreak()}
  ${commandLine("fz metrics --output /var/lib/node_exporter/fz.prom")}`,
  options: () =>
    object({
      output: optional(
        option("-o", "--output", FILE, {
          description: message`Replace this file, readable for all, instead of printing.`,
        }),
      ),
    }),
  async run({ output }, context) {
    const control = await context.host.control("read");
    const decoder = new TextDecoder();
    let text = "";
    for await (const bytes of control.bytes("metrics", {})) {
      text += decoder.decode(bytes, { stream: true });
      if (text.length > MAX_BYTES) throw new Fault("unexpected", "Cannot read the metrics: they do not end");
    }
    text += decoder.decode();
    if (output === undefined) context.stdout.write(text);
    else await context.host.replaceFile(output, text);
    return EXIT_OK;
  },
});
