/** Reads a command line with Optique: what to do, or help that is printed already. */

import { parseSync } from "@optique/core/parser";
import type { Action } from "./command.ts";
import type { CliContext } from "./context.ts";
import { routeParser } from "./parser.ts";
import { findRoute, type Route } from "./tree.ts";

/** Returns what to do, or the exit code if printing help was all. Throws `Fault` "usage". */
export async function parse(given: readonly string[], context: CliContext): Promise<Action | number> {
  const route = await findRoute(given);
  const args = isUnfinished(given, route) ? [...given, "--help"] : given;
  const parser = routeParser(route, context.env);
  const result = parseSync(parser, args);
  if (result.success) return result.value;
  // Most command lines are right: what writes pages and explains mistakes is loaded for the others.
  const { explainUsage } = await import("./usage.ts");
  return explainUsage(parser, args, route, context);
}

/** A group without a verb is a question about its verbs. */
function isUnfinished(args: readonly string[], { nodes }: Route): boolean {
  if (args.length === 0) return true;
  const node = nodes.at(-1);
  return node?.type === "group" && node.default === undefined && args.length === nodes.length;
}
