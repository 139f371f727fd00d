/** `fz internet`: whether all other traffic goes through the tunnel, too. */

import { object } from "@optique/core/constructs";
import { message, optionName } from "@optique/core/message";
import type { StatusDocument } from "../../lib/control/api.ts";
import { defineCommand, defineGroup } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { printJson, printText } from "../output.ts";
import { settingOptions } from "../session_options.ts";
import { passingNetworks } from "../status_text.ts";

type Internet = StatusDocument["internet"];

const jsonOption = () => plainFlag(["--json"], { description: message`Print one JSON document.` });

const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell whether all traffic goes through the tunnel.`,
  description: message`Tells whether the Internet resource is there and used.`,
  options: () => object({ json: jsonOption() }),
  async run({ json }, context) {
    const control = await context.host.control("read");
    return print(await control.ask("status", {}), json, context);
  },
});

const onCommand = defineCommand({
  name: "on",
  brief: message`Send all traffic through the tunnel.`,
  description:
    message`Sends all traffic through the tunnel, but for networks that are excluded, and local ones as ${
      optionName("--lan")
    } says. What is \
not named here stays as it is.`,
  options: () => {
    const { excluded, lan } = settingOptions(["excluded", "lan"]);
    return object({ excluded, lan, json: jsonOption() });
  },
  run: ({ excluded, lan, json }, context) =>
    change(
      {
        active: true,
        ...(excluded === undefined ? {} : { excluded: excluded.map(String) }),
        ...(lan === undefined ? {} : { lan }),
      },
      json,
      context,
    ),
});

const offCommand = defineCommand({
  name: "off",
  brief: message`Send only traffic for resources through the tunnel.`,
  description: message`Sends only traffic for resources through the tunnel.`,
  options: () => object({ json: jsonOption() }),
  run: ({ json }, context) => change({ active: false }, json, context),
});

export const internetCommand = defineGroup({
  name: "internet",
  brief: message`Send all traffic through the tunnel, or only that for resources.`,
  description:
    message`Switches the Internet resource: with it, traffic that no other resource is for leaves by a gateway. It has to be \
allowed by policy. The next session keeps it as it is, and what passes it by, unless a flag, a variable or the profile says otherwise.`,
  default: statusCommand,
  commands: [
    statusCommand,
    onCommand,
    offCommand,
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

async function change(
  request: {
    readonly active: boolean;
    readonly excluded?: string[];
    readonly lan?: "allow" | "deny";
  },
  json: boolean,
  context: CliContext,
): Promise<number> {
  const control = await context.host.control("change");
  return print(await control.ask("setInternet", request), json, context);
}

function print(
  { internet, network }: Pick<StatusDocument, "internet" | "network">,
  json: boolean,
  context: CliContext,
): number {
  if (json) printJson(context, { internet, ...(network === undefined ? {} : { network }) });
  else {
    const passing = network === undefined || !internet.active ? [] : passingNetworks(network);
    const but = passing.length === 0 ? "" : `, but for ${passing.join(", ")}`;
    printText(context.stdout, `${describeInternet(internet)}${but}`);
  }
  return EXIT_OK;
}
