/** Reads a command line with Optique: what to do, or help that is printed already. */

import { runParserSync } from "@optique/core/facade";
import { commandLine, formatMessage, type Message, message } from "@optique/core/message";
import { Fault } from "../lib/base/fault.ts";
import { VERSION } from "../lib/control/version.ts";
import type { Action } from "./command.ts";
import type { CliContext } from "./context.ts";
import { EXIT_OK } from "./exit.ts";
import { proseWidth, usesColour } from "./output.ts";
import { routeParser } from "./parser.ts";
import { findRoute, pathOf, type Route } from "./tree.ts";

const ROOT_FOOTER = message`${commandLine("fz COMMAND --help")} tells the options of a command, ${
  commandLine("fz help TOPIC")
} about concepts.`;

/** Below this many columns, options stand above what they mean instead of beside it. */
const NARROW = 64;
const NARROW_TERM_WIDTH = 2;

/** Returns what to do, or the exit code if printing help was all. Throws `Fault` "usage". */
export async function parse(given: readonly string[], context: CliContext): Promise<Action | number> {
  const route = await findRoute(given);
  const args = isUnfinished(given, route) ? [...given, "--help"] : given;
  const { stdout, env } = context;
  return runParserSync<ReturnType<typeof routeParser>, number, number>(routeParser(route, env), "fz", args, {
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
    // Lines are wrapped behind the space between words.
    stdout: (text) => stdout.write(`${text.replace(/ +$/gm, "")}\n`),
    // Told by `onError` in our own form.
    stderr: () => {},
    onError: (_code, error) => {
      throw usageFault(error, route);
    },
  });
}

/** A group without a verb is a question about its verbs. */
function isUnfinished(args: readonly string[], { nodes }: Route): boolean {
  if (args.length === 0) return true;
  const node = nodes.at(-1);
  return node?.type === "group" && node.default === undefined && args.length === nodes.length;
}

function usageFault(error: Message, route: Route): Fault {
  const text = formatMessage(error, { colors: false, quotes: true }).replaceAll("`", "").replace(/\.$/, "");
  return new Fault("usage", text, {
    next: `See "${["fz", pathOf(route), "--help"].filter(Boolean).join(" ")}".`,
  });
}
