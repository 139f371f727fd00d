/** `fz help profiles`: several accounts on one machine, and where a setting comes from. */

import type { Topic } from "./topic.ts";

export const profilesTopic: Topic = {
  name: "profiles",
  brief: "Several accounts on one machine: each has a token and settings of its own.",
  blocks: [
    "A profile is a name with a token and settings. The profile default is always there. A session runs with one profile; " +
    "commands mean the current one, that of FZ_PROFILE, or that of --profile.",
    "A setting comes from the first of these that has it:",
    [
      ["flag", "fz run --dns-control disabled"],
      ["variable", "FZ_DNS_CONTROL=disabled, then upstream's FIREZONE_DNS_CONTROL=disabled"],
      ["profile", 'dns-control = "disabled" in the profile\'s TOML file'],
      ["default", "what --help tells"],
    ],
    "fz config show --origin prints every setting with where its value came from. A secret is never a setting: tokens " +
    "have files of their own that nobody else can read.",
    "A session that finds a broken settings file goes on with the last good one and says so; a command names line and " +
    "column and stops.",
  ],
};
