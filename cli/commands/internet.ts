/** `fz internet`: whether all other traffic goes through the tunnel, too. */

import { object } from "@optique/core/constructs";
import { type Message, message } from "@optique/core/message";
import type { StatusDocument } from "../../lib/control/api.ts";
import { type Command, defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { printJson, printText } from "../output.ts";

type Internet = StatusDocument["internet"];

const jsonOption = () => plainFlag(["--json"], { description: message`Print one JSON document.` });

const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell whether all traffic goes through the tunnel.`,
  description: message`Tells whether the Internet resource is there and used.`,
  options: () => object({ json: jsonOption() }),
  async run({ json }, context) {
    const control = await context.host.control("read");
    const { internet } = await control.ask("status", {});
    return print(internet, json, context);
  },
});

export const internetCommand = defineGroup({
  name: "internet",
  brief: message`Send all traffic through the tunnel, or only that for resources.`,
  description:
    message`Switches the Internet resource: with it, traffic that no other resource is for leaves by a gateway. It has to be \
allowed by policy. The next session keeps it as it is, unless a flag, a variable or the profile says otherwise.`,
  default: statusCommand,
  commands: [
    statusCommand,
    switchCommand("on", message`Send all traffic through the tunnel.`),
    switchCommand("off", message`Send only traffic for resources through the tunnel.`),
  ],
});

/** Returns where full tunnel stands, in a sentence. */
export function describeInternet({ available, wanted, active }: Internet): string {
  if (active) return "On: all traffic goes through the tunnel";
  if (wanted) return "On, but not in use: policy gives this device no Internet resource";
  return available
    ? "Off: only traffic for resources goes through the tunnel"
    : "Off: policy gives this device no Internet resource";
}

function switchCommand(name: "on" | "off", brief: Message): Command {
  return defineCommand({
    name,
    brief,
    description: brief,
    options: () => object({ json: jsonOption() }),
    async run({ json }, context) {
      const control = await context.host.control("change");
      const { internet } = await control.ask("setInternet", { active: name === "on" });
      return print(internet, json, context);
    },
  });
}

function print(internet: Internet, json: boolean, context: CliContext): number {
  if (json) printJson(context, { internet });
  else printText(context.stdout, describeInternet(internet));
  return EXIT_OK;
}
