/** How each shell asks fz what may be typed next, and in which form it wants the answer. */

import { bash as optiqueBash, fish, nu, pwsh, type ShellCompletion, zsh } from "@optique/core/completion";
import type { Suggestion } from "@optique/core/parser";
import { BASH_SCRIPT } from "./shell_bash.ts";

/** A shell that completes fz's command lines. */
export interface Shell {
  readonly name: string;
  readonly aliases: readonly string[];
  /** File name of the script, where shells and packages look for it. */
  readonly file: string;
  /** Returns the script. */
  script(): string;
  /** Returns what the script reads. */
  encode(suggestions: readonly Suggestion[]): string;
}

/** The shells that are served. */
export const SHELLS: readonly Shell[] = [
  {
    name: "bash",
    aliases: [],
    file: "fz.bash",
    script: () => BASH_SCRIPT,
    encode: (suggestions) => lines(optiqueBash.encodeSuggestions(suggestions)),
  },
  optique(zsh, [], "_fz"),
  optique(fish, [], "fz.fish"),
  optique(pwsh, ["powershell"], "fz.ps1"),
  optique(nu, ["nushell"], "fz.nu"),
];

/** Returns the shell that is called `name`. */
export function shellNamed(name: string): Shell | undefined {
  return SHELLS.find((shell) => shell.name === name || shell.aliases.includes(name));
}

function optique(
  completion: ShellCompletion,
  aliases: readonly string[],
  file: string,
): Shell {
  const { name } = completion;
  return {
    name,
    aliases,
    file,
    script: () =>
      completion.generateScript("fz", ["completions", name, "--"]).split("\n").map((line) => line.trimEnd())
        .join(
          "\n",
        ).trim() + "\n",
    encode: (suggestions) => lines(completion.encodeSuggestions(suggestions)),
  };
}

/** Optique hands out records; some shells' separators are records too. */
function lines(records: Iterable<string>): string {
  return [...records].filter((record) => record !== "\n").map((record) => `${record}\n`).join("");
}
