/** What is said to a command line that asks for help or is wrong. */

import { runParserSync } from "@optique/core/facade";
import { commandLine, formatMessage, type Message, message } from "@optique/core/message";
import type { Parser } from "@optique/core/parser";
import { Fault } from "../lib/base/fault.ts";
import { SETTINGS } from "../lib/control/settings.ts";
import { VERSION } from "../lib/control/version.ts";
import type { Action } from "./command.ts";
import type { CliContext } from "./context.ts";
import { EXIT_OK } from "./exit.ts";
import { proseWidth, usesColour } from "./output.ts";
import { pathOf, type Route } from "./tree.ts";

const ROOT_FOOTER = message`${commandLine("fz COMMAND --help")} tells the options of a command, ${
  commandLine("fz help TOPIC")
} about concepts.`;

/** Below this many columns, options stand above what they mean instead of beside it. */
const NARROW = 64;
const NARROW_TERM_WIDTH = 2;

/** Prints the help that `args` ask for, or the version, and returns the exit code. Throws `Fault` "usage". */
export function explainUsage(
  parser: Parser<"sync", Action, unknown>,
  args: readonly string[],
  route: Route,
  { stdout, env }: CliContext,
): Action | number {
  return runParserSync<typeof parser, number, number>(parser, "fz", args, {
    brief: message`Zero-trust network access over WireGuard, from the terminal.`,
    ...(route.nodes.length === 0 ? { footer: ROOT_FOOTER } : {}),
    help: { option: { names: ["-h", "--help"] }, onShow: () => EXIT_OK },
    version: { value: `fz ${VERSION}`, option: { names: ["-V", "--version"] }, onShow: () => EXIT_OK },
    usageLine: [{ type: "literal", value: "COMMAND" }, { type: "literal", value: "[OPTION]..." }],
    commandList: "top-level",
    showDefault: { prefix: " (default ", suffix: ")" },
    termWidth: proseWidth(stdout) < NARROW ? NARROW_TERM_WIDTH : "auto",
    colors: usesColour(stdout, env),
    maxWidth: proseWidth(stdout),
    sectionOrder: () => 0,
    aboveError: "none",
    stdout: (text) => stdout.write(`${tidied(text)}\n`),
    // Told by `onError` in our own form.
    stderr: () => {},
    onError: (_code, error) => {
      throw usageFault(error, route);
    },
  });
}

/** An example, alone on its lines: in backticks, or in colour. */
// deno-lint-ignore no-control-regex
const EXAMPLE = /\n*^ ?(?:`([^`]+)`|(\x1b\[36m[^\x1b]+\x1b\[0m))$/gm;

/** Returns help with examples below each other and without quotes, and without the spaces behind which lines were broken. */
function tidied(text: string): string {
  return text.replace(/ +$/gm, "").replace(
    EXAMPLE,
    (_line, plain?: string, coloured?: string) => `\n  ${plain ?? coloured}`,
  );
}

function usageFault(error: Message, route: Route): Fault {
  const text = formatMessage(error, { colors: false, quotes: true }).replaceAll("`", "").replace(/\.$/, "")
    .replace(/^Expected an? (\S+), but too few arguments$/, "$1 is missing");
  const help = `\`${["fz", pathOf(route), "--help"].filter(Boolean).join(" ")}\``;
  const setting = settingOfOption(text);
  return new Fault("usage", text, {
    next: setting === undefined
      ? `See ${help}.`
      : `Set it with \`fz config set ${setting} VALUE\` first, or see ${help}.`,
  });
}

/** Returns the key of the setting that the unknown option of `text` sets elsewhere. */
function settingOfOption(text: string): string | undefined {
  const [, flag] = /^Unknown option "(--[\w-]+)"$/.exec(text) ?? [];
  if (flag === undefined) return undefined;
  return Object.values(SETTINGS).find(({ flags }) => (flags as readonly string[]).includes(flag))?.key;
}
