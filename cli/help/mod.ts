/** The concepts that `fz help TOPIC` explains. */

import { dnsTopic } from "./dns.ts";
import { environmentTopic } from "./environment.ts";
import { exitCodesTopic } from "./exit_codes.ts";
import { filesTopic } from "./files.ts";
import { pathsTopic } from "./paths.ts";
import { profilesTopic } from "./profiles.ts";
import type { Topic } from "./topic.ts";

/** All topics, in the order of `fz help`. */
export const TOPICS: readonly Topic[] = [
  pathsTopic,
  dnsTopic,
  profilesTopic,
  environmentTopic,
  filesTopic,
  exitCodesTopic,
];
