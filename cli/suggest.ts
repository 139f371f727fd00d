/** "Did you mean": the names that other programs give to our commands. */

import { nearest } from "../lib/base/nearest.ts";

/** What other programs call our commands. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ["login", "sign-in"],
  ["signin", "sign-in"],
  ["auth", "sign-in"],
  ["logout", "sign-out"],
  ["signout", "sign-out"],
  ["connect", "up"],
  ["start", "up"],
  ["disconnect", "down"],
  ["stop", "down"],
  ["resources", "resource list"],
  ["list", "resource list"],
  ["ls", "resource list"],
  ["logs", "log"],
  ["info", "status"],
  ["state", "status"],
  ["events", "watch"],
  ["exit-node", "internet"],
  ["bugreport", "bundle"],
  ["pcap", "capture"],
  ["switch", "profile"],
  ["completion", "completions"],
]);

/**
 * Returns the command of `commands` that was meant by `typed`: by another program's name, by nearly ours, or by nearly
 * another's. `topics` are names that may be meant, too.
 */
export function meantCommand(
  typed: string,
  commands: readonly string[],
  topics: readonly string[] = [],
): string | undefined {
  const nearly = () => otherName(nearest(typed, [...OTHER_NAMES.keys()]) ?? "", commands);
  return otherName(typed, commands) ?? nearest(typed, [...commands, ...topics]) ?? nearly();
}

/** Returns the command among `commands` that other programs name `typed`, or undefined. */
function otherName(typed: string, commands: readonly string[]): string | undefined {
  const path = OTHER_NAMES.get(typed.toLowerCase());
  return path !== undefined && commands.includes(path.split(" ")[0]!) ? path : undefined;
}
