/** `fz log`: what the session has to say, and how much of it. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { choice, integer } from "@optique/core/valueparser";
import { Fault } from "../../../lib/base/fault.ts";
import type { LogDocument } from "../../../lib/control/api.ts";
import { formatLogLine, RECORD_LEVELS } from "../../../lib/control/log_line.ts";
import { defineCommand, defineGroup } from "../../command.ts";
import type { CliContext } from "../../context.ts";
import { EXIT_OK } from "../../exit.ts";
import { plainFlag } from "../../options.ts";
import { painter, printWarning, type Style } from "../../output.ts";
import { whenUnwanted } from "../../unwanted.ts";
import { levelCommand } from "./level.ts";

const DEFAULT_LAST = 100;
/** A reader who follows wants to see what comes. */
const DEFAULT_LAST_FOLLOWED = 10;
const MAX_LAST = 100_000;

interface LogOptions {
  readonly follow: boolean;
  readonly last: number | undefined;
  readonly level: LogDocument["level"] | undefined;
  readonly json: boolean;
}

const showCommand = defineCommand({
  name: "show",
  brief: message`Print the log.`,
  description:
    message`Prints the last records of the running session's log. Where none runs, those that the last \
session in the background left.`,
  options: () =>
    object({
      follow: plainFlag(["-f", "--follow"], {
        description: message`Go on with what comes, until Ctrl+C.`,
      }),
      last: optional(
        option("-n", "--last", integer({ metavar: "COUNT", min: 0, max: MAX_LAST }), {
          description: message`How many of the last records to print (default 100, with --follow 10).`,
        }),
      ),
      level: optional(
        option("--level", choice(RECORD_LEVELS, { metavar: "LEVEL" }), {
          description: message`Only records of this level and above.`,
        }),
      ),
      json: plainFlag(["--json"], { description: message`Print one JSON document a line.` }),
    }),
  run: showLog,
});

export const logCommand = defineGroup({
  name: "log",
  brief: message`Show the session's log, or change how much is logged.`,
  description:
    message`Prints the last records of the running session's log. Where none runs, those that the last \
session in the background left.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine("fz log -f --level warn")}${lineBreak()}
  ${commandLine("fz log level debug")}${lineBreak()}
  ${commandLine("fz log level reset")}`,
  default: showCommand,
  commands: [levelCommand],
});

async function showLog(options: LogOptions, context: CliContext): Promise<number> {
  const { follow, level } = options;
  const last = options.last ?? (follow ? DEFAULT_LAST_FOLLOWED : DEFAULT_LAST);
  const control = await context.host.control("read").catch((error) => {
    if (!(error instanceof Fault) || error.code !== "not-running") throw error;
    return error;
  });
  if (control instanceof Fault) return await showKept({ ...options, last }, control, context);
  const abort = new AbortController();
  const unlisten = whenUnwanted(context, () => abort.abort());
  const print = printer(options, context);
  try {
    const request = { follow, last, ...(level === undefined ? {} : { level }) };
    for await (const record of control.lines("log", request, abort.signal)) print(record);
    return EXIT_OK;
  } finally {
    unlisten();
  }
}

async function showKept(
  options: LogOptions & { readonly last: number },
  fault: Fault,
  context: CliContext,
): Promise<number> {
  const { last, level } = options;
  if (options.follow) throw fault;
  const kept = await context.host.keptLog({ last, ...(level === undefined ? {} : { level }) });
  if (kept === undefined) throw fault;
  printWarning(context, `No session runs: this is what the last one left in "${kept.path}"`);
  kept.records.forEach(printer(options, context));
  return EXIT_OK;
}

function printer({ json }: LogOptions, context: CliContext): (record: LogDocument) => void {
  const { stdout } = context;
  if (json) return (record) => stdout.write(`${JSON.stringify({ schema: 1, ...record })}\n`);
  const paint = painter(stdout, context.env);
  return (record) => {
    const line = formatLogLine(record);
    const style = STYLES[record.level];
    stdout.write(`${style === undefined ? line : paint(style, line)}\n`);
  };
}

const STYLES: Readonly<Partial<Record<LogDocument["level"], Style>>> = {
  trace: "dim",
  debug: "dim",
  warn: "yellow",
  error: "red",
};
