/** `fz dev`: a portal, a relay and a gateway on loopback, with an account to try. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { integer } from "@optique/core/valueparser";
import type { DevFacts } from "../../lib/control/config.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { runForeground } from "../foreground.ts";
import { FILE, plainFlag, setting } from "../options.ts";
import { printFacts, printJson } from "../output.ts";
import { logOptions, openLog } from "./peer_options.ts";

export const devCommand = defineCommand({
  name: "dev",
  brief: message`Run a whole network on loopback, with an account to try.`,
  description:
    message`Runs a portal, a relay and a gateway in one process on loopback, makes an account with a client's \
token and prints how to use it. Ends with Ctrl+C; nothing is kept.`,
  options: (env) =>
    object({
      port: setting(env, ["--port"], "FZ_DEV_PORT", integer({ min: 0, max: 65535, metavar: "PORT" }), 8081, {
        description: message`Port of the portal; 0 takes a free one.`,
      }),
      seedFile: setting(env, ["--seed"], "FZ_PORTAL_SEED", FILE, undefined, {
        description: message`File that describes what there is, in place of the built-in account.`,
      }),
      json: plainFlag(["--json"], { description: message`Print what to use as one JSON document.` }),
      ...logOptions(env),
    }),
  async run(options, context) {
    const log = openLog(context, options);
    let facts: DevFacts | undefined;
    const start = async () => {
      const running = await context.host.startDev({ port: options.port, seedFile: options.seedFile }, log);
      facts = running.facts;
      return running;
    };
    const onReady = () => {
      if (facts === undefined) return;
      if (options.json) printJson(context, { ...facts });
      else printDevFacts(context, facts);
    };
    return await runForeground(context, start, { onReady });
  },
});

function printDevFacts(context: CliContext, facts: DevFacts): void {
  printFacts(context, [
    ["portal", facts.portalUrl],
    ["account", facts.account],
    ["admin socket", facts.adminSocket],
    ...facts.resources.map(({ name, address }) => ["resource", `${name} (${address})`] as const),
  ]);
  context.stdout.write(`\nRun a client in another terminal:\n\n`);
  context.stdout.write(`  FIREZONE_TOKEN=${facts.clientToken} fz run --api-url ${facts.portalUrl}\n\n`);
}
