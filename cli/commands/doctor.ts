/** `fz doctor`: looks at this machine and says what keeps a session from working, with the command that mends it. */

import { object } from "@optique/core/constructs";
import { commandLine, message } from "@optique/core/message";
import { Fault } from "../../lib/base/fault.ts";
import { diagnose, type DoctorQuestion, type Finding, worst } from "../../lib/control/doctor.ts";
import type { NetcheckRequest } from "../../lib/control/netcheck.ts";
import { SETTINGS } from "../../lib/control/settings.ts";
import { withProgress } from "../busy.ts";
import { defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { EXIT_OK, exitCodeOf } from "../exit.ts";
import { plainFlag } from "../options.ts";
import { painter, printJson, printText, type Style } from "../output.ts";
import { findToken, variableOf } from "../token.ts";
import { profileChoice, sessionSettings, type SettingOptions, settingOptions } from "../session_options.ts";

type Options = SettingOptions<"apiUrl" | "tokenPath" | "dnsControl" | "tunName" | "name" | "id">;

/** How each outcome begins: a word, so that colour says nothing that the word does not. */
const WORDS: Readonly<Record<Finding["status"], readonly [word: string, style: Style]>> = {
  ok: ["ok", "green"],
  warning: ["warning", "yellow"],
  problem: ["problem", "red"],
  skipped: ["skipped", "dim"],
};

export const doctorCommand = defineCommand({
  name: "doctor",
  brief: message`Find out what keeps a session from working here.`,
  description:
    message`Looks at this machine without changing anything, and names the command that mends what it finds. \
Exits with 0 if a session can work, otherwise with the code of the first problem.`,
  footer: message`${commandLine("sudo fz doctor")} sees what the session would see.`,
  options: () =>
    object({
      ...settingOptions(["apiUrl", "tokenPath", "dnsControl", "tunName", "name", "id"]),
      json: plainFlag(["--json"], { description: message`Print one JSON document.` }),
    }),
  async run({ json, ...options }, context) {
    const look = async () => await context.host.doctorFacts(await question(context, options));
    const findings = diagnose(await withProgress(context, "looking at this machine", look));
    const code = worst(findings);
    if (json) printJson(context, { ok: code === undefined, findings });
    else printFindings(context, findings);
    return code === undefined ? EXIT_OK : exitCodeOf(new Fault(code, ""));
  },
});

/** Settings that cannot be used are a finding, not an end. */
async function question(context: CliContext, options: Options): Promise<DoctorQuestion> {
  try {
    return await usableQuestion(context, options);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // A way of another system says nothing against the rest, nor against this machine's own way.
    const rest = await (options.dnsControl === undefined
      ? undefined
      : usableQuestion(context, { ...options, dnsControl: undefined }).catch(() =>
        undefined
      ));
    if (rest !== undefined) return { ...rest, settingsFailure: error.message };
    const { tokenPath } = await (await context.host.profiles()).locate(
      profileChoice(context, options.profile),
    );
    const { apiUrl = SETTINGS.apiUrl.fallback, dnsControl, tunName, name, id } = options;
    const measured = await measure(context, { apiUrl, tokenPath, name, id });
    return { apiUrl, tokenPath, dnsControl, tunName, settingsFailure: error.message, ...measured };
  }
}

async function usableQuestion(context: CliContext, options: Options): Promise<DoctorQuestion> {
  const { settings } = await sessionSettings(context, options);
  const { apiUrl, tokenPath, dnsControl, tunName } = settings;
  const measured = await measure(context, settings);
  return { apiUrl, tokenPath, dnsControl, tunName, settingsFailure: undefined, ...measured };
}

async function measure(
  context: CliContext,
  { apiUrl, tokenPath, name, id }: Pick<NetcheckRequest, "apiUrl" | "name" | "id"> & {
    readonly tokenPath: string;
  },
): Promise<Pick<DoctorQuestion, "network" | "tokenVariable">> {
  // A token that cannot be used is a finding of its own.
  const found = await findToken(context, tokenPath).catch(() => undefined);
  const request = { apiUrl, token: found?.token, name, id };
  const network = await context.host.netcheck(request, new AbortController().signal);
  return { network, tokenVariable: variableOf(found) };
}

function printFindings(context: CliContext, findings: readonly Finding[]): void {
  const paint = painter(context.stdout, context.env);
  const indent = " ".repeat(9);
  const print = (text: string, rest = indent) => printText(context.stdout, text, { indent: rest });
  for (const { status, message, detail, fix } of findings) {
    const [word, style] = WORDS[status];
    const mark = word.padEnd(7);
    printText(context.stdout, `${mark}  ${message}`, {
      indent,
      paint: (line) => line.startsWith(mark) ? paint(style, mark) + line.slice(mark.length) : line,
    });
    if (status === "ok") continue;
    if (detail !== undefined) print(indent + detail);
    if (fix !== undefined) print(`${indent}→ ${fix}`, `${indent}  `);
  }
  const problems = findings.filter(({ status }) => status === "problem").length;
  const warnings = findings.filter(({ status }) => status === "warning").length;
  context.stdout.write("\n");
  print(summary(problems, warnings), "");
}

function summary(problems: number, warnings: number): string {
  const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  if (problems > 0) return `A session cannot work here: ${count(problems, "problem")}.`;
  return warnings > 0
    ? `A session can work here; ${count(warnings, "warning")}.`
    : "A session can work here.";
}
