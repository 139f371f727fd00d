/** `fz gateway`: serves the resources of a site. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { SETTINGS } from "../../lib/control/settings.ts";
import { defineCommand } from "../command.ts";
import { runForeground } from "../foreground.ts";
import { plainFlag, roleSetting, setting, SOCKET_ADDRESS } from "../options.ts";
import { takeToken } from "../token.ts";
import { logOptions, openLog, partitionOption, peerOptions } from "./peer_options.ts";

const TOKEN_PATH = "/etc/dev.firezone.gateway/token";

export const gatewayCommand = defineCommand({
  name: "gateway",
  brief: message`Run a gateway, which lets clients reach what it can reach.`,
  description:
    message`Signs in as a gateway of a site and passes traffic of permitted clients on to the site's resources. \
Needs root, for the TUN device and for hiding clients behind its own addresses. SIGTERM says goodbye to all clients first.`,
  footer: message`Example:${lineBreak()}
  ${commandLine("FIREZONE_TOKEN=… fz gateway --firezone-name berlin-1")}`,
  options: (env) =>
    object({
      ...peerOptions(env, TOKEN_PATH),
      ...partitionOption(env),
      id: roleSetting(env, {
        ...SETTINGS.id,
        description: "Identity of this gateway; kept or derived from the machine otherwise.",
      }),
      masquerade: map(
        plainFlag(["--no-masquerade"], {
          description:
            message`Leave clients' addresses as they are; the site must then route them back here.`,
        }),
        (off) => !off,
      ),
      tunName: roleSetting(env, SETTINGS.tunName),
      healthAddress: setting(env, ["--health-check"], "HEALTH_CHECK_ADDR", SOCKET_ADDRESS, undefined, {
        description: message`Serve /healthz at this address.`,
      }),
      increaseBuffers: roleSetting(env, SETTINGS.increaseBuffers),
      flowLogs: roleSetting(env, SETTINGS.flowLogs),
      ...logOptions(env),
    }),
  async run(options, context) {
    const { tokenPath, token: _, logDir, logFilter, logFormat, ...rest } = options;
    const kept = await context.host.reducePrivileges({
      role: "gateway",
      reads: [tokenPath],
      writes: logDir === undefined ? [] : [logDir],
    });
    const config = { ...rest, token: await takeToken(context, tokenPath, tokenPath !== TOKEN_PATH) };
    const log = await openLog(context, { logDir, logFilter, logFormat });
    for (const reason of kept) log.warn("runs with more of root's rights than it needs", { reason });
    return await runForeground(context, () => context.host.startGateway(config, log));
  },
});
