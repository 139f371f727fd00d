/** `fz explain`: where traffic for a name or an address goes, and why. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { explanationFacts } from "../explain_text.ts";
import { custom, plainFlag } from "../options.ts";
import { painter, printFacts, printJson, printText } from "../output.ts";
import { RESOURCE } from "../values.ts";

interface Traffic {
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly port?: number;
}

const TRAFFIC = custom<Traffic>("PORT/PROTOCOL", (input) => {
  const match = /^(?:(\d{1,5})(?:\/(tcp|udp))?|(icmp|tcp|udp))$/.exec(input);
  const wrong = message`${input} is not a port such as ${"443"}, ${"53/udp"} or ${"icmp"}.`;
  if (match === null) return wrong;
  const [, port, protocol, alone] = match;
  if (port === undefined) return { protocol: alone as Traffic["protocol"] };
  const number = Number(port);
  return number < 1 || number > 65_535
    ? wrong
    : { protocol: (protocol ?? "tcp") as "tcp" | "udp", port: number };
});

export const explainCommand = defineCommand({
  name: "explain",
  brief: message`Tell where traffic for a name or an address goes, and why.`,
  description:
    message`Tells which resources match, what their filters allow, which gateway and path carry the traffic, and what the portal \
said. Changes nothing and sends nothing.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz explain gitlab.corp.example")}${lineBreak()}
  ${commandLine("fz explain 10.0.3.7 --port 53/udp")}`,
  options: () =>
    object({
      target: argument(RESOURCE, { description: message`A name, an address, or a resource.` }),
      port: optional(
        option("-p", "--port", TRAFFIC, {
          description: message`Kind of traffic to judge: ${"443"}, ${"53/udp"}, ${"icmp"}.`,
        }),
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ target, port, json }, context) {
    const control = await context.host.control("read");
    const { schema: _, ...explanation } = await control.ask("explain", { target, ...port });
    if (json) {
      printJson(context, explanation);
      return EXIT_OK;
    }
    const paint = painter(context.stdout, context.env);
    printText(context.stdout, explanation.because, { paint: (line) => paint("bold", line) });
    if (explanation.problem?.next !== undefined) printText(context.stdout, explanation.problem.next);
    const facts = explanationFacts(explanation);
    if (facts.length > 0) {
      context.stdout.write("\n");
      printFacts(context, facts);
    }
    return EXIT_OK;
  },
});
