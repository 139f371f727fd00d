/** `fz run`: the client in the foreground, a drop-in for upstream's headless client. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { runForeground } from "../foreground.ts";
import { custom, plainFlag, setting, toggle } from "../options.ts";
import { takeToken } from "../token.ts";
import { logOptions, openLog, partitionOption, peerOptions } from "./peer_options.ts";

const TOKEN_PATH = "/etc/dev.firezone.client/token";

/** Upstream's name for what is the only thing to do here; old scripts still write it. */
const STANDALONE = custom<"standalone">(
  "COMMAND",
  (input) => input === "standalone" ? input : message`Unknown argument ${input}.`,
);

export const runCommand = defineCommand({
  name: "run",
  aliases: ["standalone"],
  brief: message`Run the client in the foreground.`,
  description:
    message`Connects and stays connected until a signal: for services, containers and scripts. SIGINT and \
SIGTERM disconnect gracefully, a second one at once; SIGHUP finds new paths. The token comes from FIREZONE_TOKEN or from a file.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("FIREZONE_TOKEN=… fz run")}${lineBreak()}
  ${commandLine("fz run --check")}${lineBreak()}
  ${commandLine("fz run --dns-control etc-resolv-conf --activate-internet-resource")}`,
  options: (env) =>
    object({
      ...peerOptions(env, TOKEN_PATH),
      ...partitionOption(env),
      id: setting(env, ["-i", "--firezone-id"], "FIREZONE_ID", string({ metavar: "ID" }), undefined, {
        description: message`Identity of this device; kept or derived from the machine otherwise.`,
      }),
      dnsControl: setting(
        env,
        ["--dns-control"],
        "FIREZONE_DNS_CONTROL",
        choice(["disabled", "etc-resolv-conf", "systemd-resolved"], { metavar: "METHOD" }),
        undefined,
        {
          description: message`How names of resources reach the client: disabled, etc-resolv-conf or \
systemd-resolved; what fits the machine otherwise.`,
        },
      ),
      internetResource: toggle(
        env,
        ["--activate-internet-resource"],
        "FIREZONE_ACTIVATE_INTERNET_RESOURCE",
        { description: message`Send all traffic through the tunnel, where policy allows.` },
      ),
      tunName: setting(env, ["--tun-name"], "FZ_TUN_NAME", string({ metavar: "NAME" }), undefined, {
        description: message`Name of the TUN device.`,
      }),
      failFast: toggle(env, ["--fail-fast"], "FZ_FAIL_FAST", {
        description: message`Give up if the portal cannot be reached at the start, instead of retrying.`,
      }),
      increaseBuffers: toggle(env, ["--inc-buf"], "FIREZONE_INC_BUF", {
        description: message`Raise the kernel's limits of socket buffers.`,
      }),
      flowLogs: toggle(env, ["--flow-logs"], "FIREZONE_FLOW_LOGS", { description: message`Log every flow.` }),
      ...logOptions(env),
      check: plainFlag(["--check"], {
        description: message`Check token, configuration and privileges, change nothing, and exit.`,
      }),
      exit: plainFlag(["--exit"], { description: message`Exit with 0 as soon as the tunnel is configured.` }),
      // Taken and without effect: upstream's switches for services that this program does not talk to.
      noTelemetry: toggle(env, ["--no-telemetry"], "FIREZONE_NO_TELEMETRY", {
        description: [],
        hidden: true,
      }),
      metrics: setting(env, ["--metrics"], "FIREZONE_METRICS", string({ metavar: "EXPORTER" }), undefined, {
        description: [],
        hidden: true,
      }),
      otlp: setting(
        env,
        ["--otlp-grpc-endpoint"],
        "OTLP_GRPC_ENDPOINT",
        string({ metavar: "ENDPOINT" }),
        undefined,
        {
          description: [],
          hidden: true,
        },
      ),
      standalone: optional(
        argument(STANDALONE, { hidden: true, errors: { invalidValue: (error) => error } }),
      ),
    }),
  async run(options, context) {
    const {
      apiUrl,
      name,
      id,
      maxPartitionTime,
      dnsControl,
      internetResource,
      tunName,
      failFast,
      increaseBuffers,
      flowLogs,
    } = options;
    const token = await takeToken(context, options.tokenPath);
    const config = {
      ...{ apiUrl, token, name, id, maxPartitionTime },
      ...{ dnsControl, internetResource, tunName, failFast, increaseBuffers, flowLogs },
    };
    if (options.check) {
      await context.host.checkClient(config);
      context.stderr.write("fz: everything needed to run is there\n");
      return EXIT_OK;
    }
    const log = openLog(context, options);
    return await runForeground(context, () => context.host.startClient(config, log), {
      exitWhenReady: options.exit,
    });
  },
});
