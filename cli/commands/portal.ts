/** `fz portal`: the control plane for a network of one's own, and the verbs that manage a running one. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { SocketAddress } from "../../lib/base/ip.ts";
import { defineCommand, defineGroup } from "../command.ts";
import { runForeground } from "../foreground.ts";
import { FILE, setting, SOCKET_ADDRESS } from "../options.ts";
import { logOptions, openLog } from "./peer_options.ts";
import { actorCommand } from "./portal_actor.ts";
import { ADMIN_SOCKET_VARIABLE } from "./portal_admin.ts";
import { peersCommand, statusCommand } from "./portal_status.ts";
import { tokenCommand } from "./portal_token.ts";

const LISTEN = SocketAddress.from("127.0.0.1:8081");

const described = {
  name: "portal",
  brief: message`Run a portal, which decides who may reach what.`,
  description:
    message`Serves clients, gateways and relays of one's own network, upstream's included, and the pages where \
people sign in. What there is (accounts, people, groups, sites, resources, policies, tokens) comes from the seed file and \
from the admin socket, where the commands below manage the portal that runs.`,
};

const runCommand = defineCommand({
  ...described,
  options: (env) =>
    object({
      listen: setting(env, ["--listen"], "FZ_PORTAL_LISTEN", SOCKET_ADDRESS, LISTEN, {
        description: message`Address to serve WebSockets and sign-in pages at.`,
      }),
      seedFile: setting(env, ["--seed"], "FZ_PORTAL_SEED", FILE, undefined, {
        description: message`File that describes what there is at start.`,
      }),
      databaseFile: setting(env, ["--database"], "FZ_PORTAL_DATABASE", FILE, undefined, {
        description: message`SQLite file to keep everything in; in memory otherwise.`,
      }),
      adminSocket: setting(env, ["--admin-socket"], ADMIN_SOCKET_VARIABLE, FILE, undefined, {
        description:
          message`Serve the admin API at this Unix socket, not at the usual place (/run/fz/portal.sock for root).`,
      }),
      ...logOptions(env),
    }),
  async run(options, context) {
    const { logDir, logFilter, logFormat, ...config } = options;
    const log = await openLog(context, { logDir, logFilter, logFormat });
    return await runForeground(context, () => context.host.startPortal(config, log));
  },
});

export const portalCommand = defineGroup({
  ...described,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz portal --seed network.json --listen 0.0.0.0:8081")}${lineBreak()}
  ${commandLine("fz portal token create --actor ci --expires 90d")}`,
  commands: [statusCommand, peersCommand, actorCommand, tokenCommand],
  default: runCommand,
});
