/** `fz resource enable` and `fz resource disable`: which resources go through the tunnel. */

import { object } from "@optique/core/constructs";
import { type Message, message } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { printable } from "../../../lib/base/text.ts";
import type { ResourceDocument } from "../../../lib/control/api.ts";
import { type Command, defineCommand } from "../../command.ts";
import { EXIT_OK } from "../../exit.ts";
import { oneOrMore, plainFlag } from "../../options.ts";
import { printJson } from "../../output.ts";
import { RESOURCE } from "../../values.ts";

export const enableCommand = switchCommand("enable", {
  brief: message`Let traffic for a resource go through the tunnel again.`,
  description: message`Takes back what \`fz resource disable\` did.`,
});

export const disableCommand = switchCommand("disable", {
  brief: message`Keep traffic for a resource out of the tunnel.`,
  description:
    message`Gives up access to the resource: its names and addresses are left to the rest of the machine's network until \
\`fz resource enable\`. Later sessions keep it so, unless a flag, a variable or the profile lists disabled resources.`,
});

function switchCommand(
  name: "enable" | "disable",
  words: { readonly brief: Message; readonly description: Message },
): Command {
  return defineCommand({
    name,
    ...words,
    options: () =>
      object({
        resources: multiple(
          argument(RESOURCE, { description: message`Names or ids.` }),
          oneOrMore("RESOURCE"),
        ),
        json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
      }),
    async run({ resources, json }, context) {
      const control = await context.host.control("change");
      const switched: ResourceDocument[] = [];
      for (const resource of resources) {
        const answer = await control.ask("setResource", { resource, enabled: name === "enable" });
        switched.push(answer.resource);
      }
      if (json) printJson(context, { resources: switched });
      else {
        for (const { name: label } of switched) {
          context.stdout.write(`${printable(label)} is ${name}d\n`);
        }
      }
      return EXIT_OK;
    },
  });
}
