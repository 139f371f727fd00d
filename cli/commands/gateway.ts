/** `fz gateway`: serves the resources of a site. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { map } from "@optique/core/modifiers";
import { string } from "@optique/core/valueparser";
import { defineCommand } from "../command.ts";
import { runForeground } from "../foreground.ts";
import { plainFlag, setting, SOCKET_ADDRESS, toggle } from "../options.ts";
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
      id: setting(env, ["-i", "--firezone-id"], "FIREZONE_ID", string({ metavar: "ID" }), undefined, {
        description: message`Identity of this gateway; kept or derived from the machine otherwise.`,
      }),
      masquerade: map(
        plainFlag(["--no-masquerade"], {
          description:
            message`Leave clients' addresses as they are; the site must then route them back here.`,
        }),
        (off) => !off,
      ),
      tunName: setting(env, ["--tun-name"], "FZ_TUN_NAME", string({ metavar: "NAME" }), undefined, {
        description: message`Name of the TUN device.`,
      }),
      healthAddress: setting(env, ["--health-check"], "HEALTH_CHECK_ADDR", SOCKET_ADDRESS, undefined, {
        description: message`Serve /healthz at this address.`,
      }),
      increaseBuffers: toggle(env, ["--inc-buf"], "FIREZONE_INC_BUF", {
        description: message`Raise the kernel's limits of socket buffers.`,
      }),
      flowLogs: toggle(env, ["--flow-logs"], "FIREZONE_FLOW_LOGS", { description: message`Log every flow.` }),
      ...logOptions(env),
    }),
  async run(options, context) {
    const { tokenPath, token: _, logDir, logFilter, logFormat, ...rest } = options;
    const config = { ...rest, token: await takeToken(context, tokenPath) };
    const log = openLog(context, { logDir, logFilter, logFormat });
    return await runForeground(context, () => context.host.startGateway(config, log));
  },
});
