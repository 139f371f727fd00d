/** The concepts that `fz help TOPIC` explains. */

import { dnsTopic } from "./dns.ts";
import { environmentTopic } from "./environment.ts";
import { exitCodesTopic } from "./exit_codes.ts";
import { filesTopic } from "./files.ts";
import { pathsTopic } from "./paths.ts";
import { privilegesTopic } from "./privileges.ts";
import { profilesTopic } from "./profiles.ts";
import { routingTopic } from "./routing.ts";
import type { Topic } from "./topic.ts";

/** All topics, in the order of `fz help`. */
export const TOPICS: readonly Topic[] = [
  pathsTopic,
  routingTopic,
  dnsTopic,
  privilegesTopic,
  profilesTopic,
  environmentTopic,
  filesTopic,
  exitCodesTopic,
];
