/** `fz completions`: the script for a shell, and the answers to what the script asks. */

import { object } from "@optique/core/constructs";
import { commandLine, lineBreak, message } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";

const SHELL = choice(["bash", "zsh", "fish", "pwsh", "powershell", "nu", "nushell"], { metavar: "SHELL" });

export const completionsCommand = defineCommand({
  name: "completions",
  aliases: ["completion"],
  brief: message`Print the script that completes commands in a shell.`,
  description:
    message`Prints the script for bash, zsh, fish, pwsh (PowerShell) or nu (Nushell). Commands, options, names of \
resources and profiles complete; names come from the running session.`,
  footer: message`Examples:${lineBreak()}
  ${commandLine('eval "$(fz completions bash)"')}${lineBreak()}
  ${commandLine("fz completions zsh > ~/.zfunc/_fz")}${lineBreak()}
  ${commandLine("fz completions fish > ~/.config/fish/completions/fz.fish")}`,
  options: () =>
    object({
      shell: argument(SHELL),
      // What the scripts ask about: the words of a command line so far, behind "--".
      words: multiple(argument(string({ metavar: "WORD" }), { hidden: true })),
    }),
  async run({ shell: name, words }, context) {
    const { shellNamed } = await import("../shells.ts");
    const shell = shellNamed(name)!;
    if (words.length === 0) context.stdout.write(shell.script());
    else {
      const { suggestions } = await import("../completion.ts");
      context.stdout.write(shell.encode(await suggestions(words, context)));
    }
    return EXIT_OK;
  },
});
