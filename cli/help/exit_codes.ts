/** `fz help exit-codes`: what the number that a command ends with means. */

import { EXIT_CODES } from "../exit.ts";
import type { Topic } from "./topic.ts";

export const exitCodesTopic: Topic = {
  name: "exit-codes",
  brief: "What the exit code of a command tells a script: one number for each cause.",
  blocks: [
    EXIT_CODES.map(([code, meaning]) => [String(code), meaning] as const),
    "The answer of a command is on standard output, everything else on standard error. Commands that print facts take " +
    '--json and print one document with "schema": 1 that only grows.',
    "A command that a signal ended before it was done exits as shells count signals: 130 after Ctrl+C (SIGINT), 143 after SIGTERM. " +
    "`fz run` tidies up after the first signal and exits with 0; the second ends it at once.",
  ],
};
