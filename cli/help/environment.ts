/** `fz help environment`: the variables that fz reads. */

import { IGNORED_VARIABLES, SETTING_NAMES, SETTINGS } from "../../lib/control/settings.ts";
import type { Topic } from "./topic.ts";

/** Variables that set a setting of the session, with its description; the first of several wins. */
const OF_SETTINGS = SETTING_NAMES.map((name) => {
  const { variables, description } = SETTINGS[name];
  return [variables.join(", "), description] as const;
});

/** Variables that are no setting. */
const OTHERS = [
  ["FIREZONE_TOKEN", "The token; it wins over files, and is taken out of the environment at once."],
  ["FZ_PROFILE", "Profile to use; the current one otherwise."],
  ["FZ_RUNTIME_DIR", "Folder of the session's sockets: which session commands talk to."],
  ["FZ_STATE_DIR", "Folder of what outlives the session, logs too."],
  ["FZ_CONFIG_DIR", "Folder of profiles and tokens."],
  ["FZ_CONTROL", "tcp: the session listens on a port of the loopback instead of Unix sockets."],
  ["FZ_EVENTS", "File to which a role appends what happens to it, one JSON document a line."],
  ["FZ_CRYPTO", "Which library encrypts; the fastest that works otherwise. fz version --verbose tells."],
  ["CREDENTIALS_DIRECTORY", "Folder of systemd's credentials (LoadCredential=)."],
  ["BROWSER", "Browser to sign in with."],
  ["NO_COLOR, FORCE_COLOR", "No colours at all; colours in a pipe, too. The first wins."],
] as const;

export const environmentTopic: Topic = {
  name: "environment",
  brief: "Variables that fz reads. A flag wins over a variable, a variable over the profile.",
  blocks: [
    OTHERS,
    "Settings of a session. Where there are several, the first that is set and not empty wins; all of upstream's are taken:",
    OF_SETTINGS,
    `Known from upstream, and without effect here: ${IGNORED_VARIABLES.join(", ")}.`,
    "Options of other commands name their variable in their help: [FZ_PORTAL_LISTEN].",
  ],
};
