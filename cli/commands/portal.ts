/** `fz portal`: the control plane for a network of one's own. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { SocketAddress } from "../../lib/base/ip.ts";
import { defineCommand } from "../command.ts";
import { runForeground } from "../foreground.ts";
import { FILE, setting, SOCKET_ADDRESS } from "../options.ts";
import { logOptions, openLog } from "./peer_options.ts";

const LISTEN = SocketAddress.from("127.0.0.1:8081");

export const portalCommand = defineCommand({
  name: "portal",
  brief: message`Run a portal, which decides who may reach what.`,
  description:
    message`Serves clients, gateways and relays of one's own network, upstream's included. What there is \
(accounts, people, groups, sites, resources, policies, tokens) comes from the seed file and from the admin socket.`,
  footer: message`Example:${lineBreak()}
  ${commandLine("fz portal --seed network.json --listen 0.0.0.0:8081")}`,
  options: (env) =>
    object({
      listen: setting(env, ["--listen"], "FZ_PORTAL_LISTEN", SOCKET_ADDRESS, LISTEN, {
        description: message`Address to serve WebSockets at.`,
      }),
      seedFile: setting(env, ["--seed"], "FZ_PORTAL_SEED", FILE, undefined, {
        description: message`File that describes what there is at start.`,
      }),
      databaseFile: setting(env, ["--database"], "FZ_PORTAL_DATABASE", FILE, undefined, {
        description: message`SQLite file to keep everything in; in memory otherwise.`,
      }),
      adminSocket: setting(env, ["--admin-socket"], "FZ_PORTAL_ADMIN_SOCKET", FILE, undefined, {
        description: message`Serve the admin API at this Unix socket.`,
      }),
      ...logOptions(env),
    }),
  async run(options, context) {
    const { logDir, logFilter, logFormat, ...config } = options;
    const log = openLog(context, { logDir, logFilter, logFormat });
    return await runForeground(context, () => context.host.startPortal(config, log));
  },
});
