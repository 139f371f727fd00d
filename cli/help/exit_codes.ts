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
    "A command that a second Ctrl+C ended at once exits with 130, as shells count signals.",
  ],
};
