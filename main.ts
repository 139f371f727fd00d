/**
 * The program: joins the command line with the shell. Roles are loaded when they are started, so that `fz version` and
 * help do not pay for them.
 */

import type { CliContext, Host } from "./cli/context.ts";
import { run } from "./cli/mod.ts";
import { listenSignals, textStream } from "./io/process_context.ts";
import { silentLog } from "./lib/base/log.ts";

const host: Host = {
  openLog: async (options) => (await import("./io/open_log.ts")).openLog(options),
  readToken: async (path) => (await import("./io/token_file.ts")).readTokenFile(path),
  control: async (authority) => (await import("./io/control/client.ts")).connectControl(authority),
  credentials: async () => (await import("./io/credential/credentials.ts")).credentials,
  profiles: async () => (await import("./io/config/profiles.ts")).openProfiles(),
  checkClient: async (config) => (await import("./io/client.ts")).checkClient(config, silentLog),
  // Capabilities are Linux's; its library opens there only.
  reducePrivileges: async (request) =>
    Deno.build.os === "linux" ? (await import("./io/reduced.ts")).reducePrivileges(request) : [],
  startClient: async (config, log) => (await import("./io/client.ts")).startClient(config, log),
  startSession: async (config, log) => (await import("./io/service/session.ts")).startSession(config, log),
  launch: async (config) => (await import("./io/service/launch.ts")).launch(config),
  whyEnded: async (pid) => (await import("./io/service/launch.ts")).whyEnded(pid),
  untilGone: async (pid, limit) => (await import("./io/service/launch.ts")).untilGone(pid, limit),
  cleanUp: async () => (await import("./io/service/cleanup.ts")).cleanUp(silentLog),
  startGateway: async (config, log) => (await import("./io/gateway.ts")).startGateway(config, log),
  startRelay: async (config, log) => (await import("./io/relay_role.ts")).runRelay(config, log),
  startPortal: async (config, log) => (await import("./io/portal_role.ts")).runPortal(config, log),
  askPortal: async (socketPath, request) =>
    (await import("./io/portal_admin.ts")).askPortal(socketPath, request),
  startDev: async (config, log) => (await import("./io/dev.ts")).startDev(config, log),
  isolate: async (args) => (await import("./io/demo.ts")).isolate(args),
  runDemo: async (config, events) => (await import("./io/demo.ts")).runDemo(config, events),
  completionFacts: async (kinds, deadline) =>
    (await import("./io/completion_facts.ts")).completionFacts(kinds, deadline),
  dnsOutlook: async (question) => (await import("./io/dns_outlook.ts")).dnsOutlook(question),
  doctorFacts: async (question) => (await import("./io/doctor.ts")).doctorFacts(question),
  supervisor: async () => (await import("./io/supervisor/supervisor.ts")).findSupervisor(),
  serviceDefinition: async (kind, request) =>
    (await import("./io/supervisor/definition.ts")).definitionText(kind, request),
  keptLog: async (wanted) => (await import("./io/kept_log.ts")).keptLog(wanted),
  openOutput: async (path, options) => (await import("./io/output_file.ts")).openOutput(path, options),
  netcheck: async (request, signal) => (await import("./io/netcheck.ts")).netcheck(request, signal),
  makeBundle: async (request, signal) => (await import("./io/bundle/bundle.ts")).makeBundle(request, signal),
  replaceFile: async (path, text) => (await import("./io/public_file.ts")).replacePublicFile(path, text),
  versionFacts: async () => (await import("./io/version_facts.ts")).versionFacts(),
};

const context: CliContext = {
  stdout: textStream(Deno.stdout),
  stderr: textStream(Deno.stderr),
  env: { get: (name) => Deno.env.get(name), delete: (name) => Deno.env.delete(name) },
  signals: { listen: listenSignals, exit: (code) => Deno.exit(code) },
  prompt: {
    get isPossible() {
      return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    },
    get isInputTerminal() {
      return Deno.stdin.isTerminal();
    },
    secret: async (question) => (await import("./io/terminal_prompt.ts")).promptSecret(question),
    confirm: async (question) => (await import("./io/terminal_prompt.ts")).promptConfirm(question),
  },
  os: Deno.build.os,
  host,
};

Deno.exit(await run(Deno.args, context));
