/** `fz dev`: a portal, a relay and a gateway in one process, with an account to try. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { map, multiple } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { IpAddress } from "../../lib/base/ip.ts";
import type { DevFacts } from "../../lib/control/config.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { runForeground } from "../foreground.ts";
import { custom, plainFlag, setting } from "../options.ts";
import { printFacts, printJson } from "../output.ts";
import { logOptions, openLog } from "./peer_options.ts";

const LOOPBACK = IpAddress.from("127.0.0.1");
const DEFAULT_RESOURCES = ["example.com"] as const;

const ADDRESS = custom("ADDRESS", (input) => {
  const address = IpAddress.parse(input);
  return address === undefined || address.isUnspecified
    ? message`${input} is not an address of this machine.`
    : address;
});

export const devCommand = defineCommand({
  name: "dev",
  brief: message`Run a whole network in one process, with an account to try.`,
  description:
    message`Runs a portal, a relay and a gateway in one process on loopback, makes an account with a client's \
token and prints how to use it. Ends with Ctrl+C; nothing is kept. Needs root, for the gateway. A client needs a machine, \
container or network namespace of its own: on one machine, the traffic of a client cannot pass a gateway. Give --address \
one that it can reach.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz dev")}${lineBreak()}
  ${commandLine("fz dev --address 172.17.0.1 --resource wiki.corp.example --resource 10.1.0.0/16")}`,
  options: (env) =>
    object({
      address: setting(env, ["--address"], "FZ_DEV_ADDRESS", ADDRESS, LOOPBACK, {
        description: message`Address of this machine to serve at.`,
      }),
      port: setting(env, ["--port"], "FZ_DEV_PORT", integer({ min: 0, max: 65535, metavar: "PORT" }), 8081, {
        description: message`TCP port of the portal; 0 takes a free one.`,
      }),
      resources: map(
        multiple(option("--resource", string({ metavar: "TARGET" }), {
          description: message`Name, pattern, address or network that the client may reach; may be repeated. \
(default example.com)`,
        })),
        (given) => given.length === 0 ? DEFAULT_RESOURCES : given,
      ),
      json: plainFlag(["--json"], { description: message`Print what to use as one JSON document.` }),
      ...logOptions(env),
    }),
  async run({ address, port, resources, json, ...logging }, context) {
    const log = await openLog(context, logging);
    let facts: DevFacts | undefined;
    const start = async () => {
      const running = await context.host.startDev({ address, port, resources }, log);
      facts = running.facts;
      return running;
    };
    const onReady = () => {
      if (facts === undefined) return;
      if (json) printJson(context, { ...facts });
      else printDevFacts(context, facts);
    };
    return await runForeground(context, start, { onReady });
  },
});

function printDevFacts(context: CliContext, facts: DevFacts): void {
  printFacts(context, [
    ["Portal", facts.portalUrl],
    ["Relay", facts.relay],
    ["Admin socket", facts.adminSocket],
    ...facts.resources.map((target) => ["Resource", target] as const),
    ["E-mail", facts.email],
    ["Password", facts.password],
  ]);
  const { portalUrl, authBaseUrl, accountSlug, clientToken, serviceToken } = facts;
  context.stdout.write(`
Run a client where ${new URL(portalUrl).hostname} can be reached:

  FIREZONE_TOKEN=${clientToken} fz run --api-url ${portalUrl}

or as a service account, for which no person signs in:

  FIREZONE_TOKEN=${serviceToken} fz run --api-url ${portalUrl}

or sign in with a browser, e-mail address and password first:

  fz sign-in --api-url ${portalUrl} --auth-base-url ${authBaseUrl} --account-slug ${accountSlug}

`);
}
