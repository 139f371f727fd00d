/** `fz bundle`: an archive for whoever helps, without what is private. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer } from "@optique/core/valueparser";
import { Fault } from "../../lib/base/fault.ts";
import type { BundleDocument, BundleReport } from "../../lib/control/bundle.ts";
import { diagnose } from "../../lib/control/doctor.ts";
import { judgeNetwork, netcheckDocumentOf } from "../../lib/control/netcheck.ts";
import { SETTING_NAMES, SETTINGS } from "../../lib/control/settings.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK } from "../exit.ts";
import { formatBytes, formatCount } from "../format.ts";
import { DURATION, FILE, plainFlag } from "../options.ts";
import { describeError, printJson, printText, printWarning } from "../output.ts";
import { profileOption, type SessionSettings, sessionSettings } from "../session_options.ts";
import { findToken, variableOf } from "../token.ts";

const DEFAULT_RECORDS = 2000;
const DEFAULT_DURATION_MS = 2000;
const MAX_DURATION_MS = 10 * 60_000;

export const bundleCommand = defineCommand({
  name: "bundle",
  brief: message`Write an archive for whoever helps, without names, addresses and secrets.`,
  description:
    message`Gathers what the session, its log and this machine say in one archive. Secrets are never in it; \
names and addresses are replaced by pseudonyms, the same one always by the same. Works without a running session, too: \
then it holds what can be had. Nothing is sent anywhere.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("sudo fz bundle")}${lineBreak()}
  ${commandLine("fz bundle -o /tmp/fz.tar.gz --duration 30s")}`,
  options: () =>
    object({
      profile: profileOption(),
      output: optional(
        option("-o", "--output", FILE, {
          description: message`Where to write (default fz-bundle-TIME.tar.gz in this folder).`,
        }),
      ),
      records: withDefault(
        option("--log", integer({ metavar: "COUNT", min: 0, max: 100_000 }), {
          description: message`How many of the last records of the log.`,
        }),
        DEFAULT_RECORDS,
      ),
      duration: withDefault(
        option("--duration", DURATION, { description: message`How long to record events (default 2s).` }),
        DEFAULT_DURATION_MS,
        { message: [] },
      ),
      keepNames: plainFlag(["--no-redact"], {
        description: message`Keep names and addresses; secrets are left out all the same.`,
      }),
      force: plainFlag(["--force"], { description: message`Overwrite the file.` }),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ profile, output, records, duration, keepNames, force, json }, context) {
    const path = output;
    if (path === "-") {
      throw new Fault("usage", "Cannot write a bundle to standard output", { next: "Name a file." });
    }
    if (duration > MAX_DURATION_MS) {
      throw new Fault("usage", "Cannot record events for so long: 10 minutes are the limit");
    }
    const settings = await sessionSettings(context, { profile }).catch((error: unknown) => {
      if (error instanceof Fault) return error;
      throw error;
    });
    const abort = new AbortController();
    const unlisten = context.signals.listen(["SIGINT", "SIGTERM"], () => abort.abort());
    if (!json) context.stderr.write("Gathering…\n");
    try {
      const report = await context.host.makeBundle({
        path,
        overwrite: force,
        logRecords: records,
        duration,
        redact: !keepNames,
        tokenPath: settings instanceof Fault ? undefined : settings.settings.tokenPath,
        documents: [
          configDocument(settings),
          ...await machineDocuments(settings, context, abort.signal),
        ],
      }, abort.signal);
      print(report, keepNames, json, context);
      return EXIT_OK;
    } finally {
      unlisten();
    }
  },
});

function configDocument(settings: SessionSettings | Fault): BundleDocument {
  const name = "config.json";
  if (settings instanceof Fault) return { type: "missing", name, reason: describeError(settings) };
  const entries = SETTING_NAMES.map((setting) => {
    const { key, kind } = SETTINGS[setting];
    const value: unknown = settings.settings[setting];
    const plain = value === undefined || value === null
      ? null
      : (kind.plain as (value: unknown) => unknown)(value);
    return [key, { value: plain, origin: settings.origins[setting] }];
  });
  const { profile } = settings;
  return {
    type: "document",
    name,
    value: {
      profile: profile.name,
      path: profile.path,
      warning: profile.warning,
      settings: Object.fromEntries(entries),
    },
  };
}

/** What was measured of the network, and what the doctor thinks of it and of this machine. */
async function machineDocuments(
  settings: SessionSettings | Fault,
  context: CliContext,
  signal: AbortSignal,
): Promise<readonly BundleDocument[]> {
  const missing = (name: string, error: unknown): BundleDocument => ({
    type: "missing",
    name,
    reason: describeError(error),
  });
  if (settings instanceof Fault) {
    return [missing("netcheck.json", settings), missing("doctor.json", settings)];
  }
  const { apiUrl, tokenPath, dnsControl, tunName, name, id } = settings.settings;
  try {
    // Without the token: a bundle must not take the place of a session at the portal.
    const network = await context.host.netcheck({ apiUrl, token: undefined, name, id }, signal);
    const tokenVariable = variableOf(await findToken(context, tokenPath).catch(() => undefined));
    const asked = { apiUrl, tokenPath, dnsControl, tunName, tokenVariable };
    const question = { ...asked, settingsFailure: undefined, network };
    const findings = diagnose(await context.host.doctorFacts(question));
    return [
      { type: "document", name: "netcheck.json", value: netcheckDocumentOf(network, judgeNetwork(network)) },
      { type: "document", name: "doctor.json", value: { findings } },
    ];
  } catch (error) {
    return [missing("netcheck.json", error), missing("doctor.json", error)];
  }
}

function print(report: BundleReport, keepsNames: boolean, json: boolean, context: CliContext): void {
  const { path, size, files, replaced, missing } = report;
  if (json) return printJson(context, { path, size, files, replaced, missing, redacted: !keepsNames });
  context.stdout.write(`${path}\n`);
  const count = Object.values(replaced).reduce((sum, one) => sum + one, 0);
  const content = `${formatCount(files.length, "file")}, ${formatBytes(size)}`;
  printText(context.stderr, `${content}; ${count} private things replaced`);
  if (missing.some(({ name }) => name === "session/status.json")) {
    printWarning(
      context,
      "No session answered: the archive holds what this machine and the last session left",
    );
  }
  if (keepsNames) {
    printWarning(
      context,
      "Names and addresses are in it as they are: give it only to those who may know them",
    );
  }
  printText(
    context.stderr,
    `Before you share it, look through it: \`tar xzOf ${JSON.stringify(path)} | less\``,
  );
}
