/** `fz relay`: a STUN and TURN server for clients and gateways. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { integer } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import { defineCommand } from "../command.ts";
import { runForeground } from "../foreground.ts";
import { address, setting, SOCKET_ADDRESS } from "../options.ts";
import { takeToken } from "../token.ts";
import { logOptions, openLog, peerOptions } from "./peer_options.ts";

const TOKEN_PATH = "/etc/dev.firezone.relay/token";
const PORT = integer({ min: 1, max: 65535, metavar: "PORT" });

export const relayCommand = defineCommand({
  name: "relay",
  brief: message`Run a relay, by which peers meet that cannot reach each other.`,
  description:
    message`Serves STUN and TURN (RFC 8656) to clients and gateways of the portal. Needs a public address and \
its UDP ports, but no privileges.`,
  footer: message`Example:${lineBreak()}
  ${commandLine("FIREZONE_TOKEN=… fz relay --public-ip4-addr 203.0.113.7")}`,
  options: (env) =>
    object({
      ...peerOptions(env, TOKEN_PATH),
      publicIp4: setting(env, ["--public-ip4-addr"], "PUBLIC_IP4_ADDR", address(4), undefined, {
        description: message`IPv4 address under which peers reach this relay.`,
      }),
      publicIp6: setting(env, ["--public-ip6-addr"], "PUBLIC_IP6_ADDR", address(6), undefined, {
        description: message`IPv6 address under which peers reach this relay.`,
      }),
      bindIp4: setting(env, ["--bind-ip4-addr"], "BIND_IP4_ADDR", address(4), undefined, {
        description: message`IPv4 address to listen on; all of them otherwise.`,
      }),
      bindIp6: setting(env, ["--bind-ip6-addr"], "BIND_IP6_ADDR", address(6), undefined, {
        description: message`IPv6 address to listen on; all of them otherwise.`,
      }),
      port: setting(env, ["--listen-port"], "LISTEN_PORT", PORT, 3478, {
        description: message`UDP port to listen on.`,
      }),
      lowestPort: setting(env, ["--lowest-port"], "LOWEST_PORT", PORT, 49152, {
        description: message`First port for relayed traffic.`,
      }),
      highestPort: setting(env, ["--highest-port"], "HIGHEST_PORT", PORT, 65535, {
        description: message`Last port for relayed traffic.`,
      }),
      healthAddress: setting(env, ["--health-check"], "HEALTH_CHECK_ADDR", SOCKET_ADDRESS, undefined, {
        description: message`Serve /healthz and /readyz at this address.`,
      }),
      ...logOptions(env),
    }),
  async run(options, context) {
    const { tokenPath, token: _, logDir, logFilter, logFormat, ...rest } = options;
    if (rest.publicIp4 === undefined && rest.publicIp6 === undefined) {
      throw new Fault("usage", "Cannot run a relay without an address", {
        next: "Give --public-ip4-addr, --public-ip6-addr or both.",
      });
    }
    if (rest.lowestPort > rest.highestPort) {
      throw new Fault(
        "usage",
        `Cannot relay on ports ${rest.lowestPort} to ${rest.highestPort}: the first is above the last`,
      );
    }
    const kept = await context.host.reducePrivileges({
      role: "relay",
      port: rest.port,
      reads: [tokenPath],
      writes: logDir === undefined ? [] : [logDir],
    });
    const config = { ...rest, token: await takeToken(context, tokenPath, tokenPath !== TOKEN_PATH) };
    const log = await openLog(context, { logDir, logFilter, logFormat });
    for (const reason of kept) log.warn("runs with more of root's rights than it needs", { reason });
    return await runForeground(context, () => context.host.startRelay(config, log));
  },
});
