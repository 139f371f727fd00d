/** `fz help files`: where things are on Linux. */

import { pathsOf, tokenFile } from "../../lib/control/paths.ts";
import type { Topic } from "./topic.ts";

const ROOT = { os: "linux", uid: 0, env: () => undefined } as const;
const { runtime, state, config, controlSocket, readSocket, logFolder } = pathsOf(ROOT);

export const filesTopic: Topic = {
  name: "files",
  brief: "Where fz keeps its files, on Linux.",
  blocks: [
    "For root, and so for the service:",
    [
      [
        tokenFile(ROOT, "default"),
        "token of the default profile, in the place of upstream's client; mode 600",
      ],
      [`${config}/profiles/NAME.token`, "tokens of the other profiles; mode 600"],
      [`${config}/profiles/NAME.toml`, "settings of a profile"],
      [`${config}/profile`, "name of the current profile"],
      [controlSocket, "control socket of the session: asks and changes everything; its owner's only"],
      [readSocket, "questions only; for the group fz, where the machine has it"],
      [`${runtime}/session.json`, "who runs"],
      [`${logFolder}/fz.log`, "log of a session that fz up started without a service"],
      [state, "what outlives the session"],
      [`${state}/journal.json`, "what was changed on the machine, until it is undone; see fz cleanup"],
      ["/etc/resolv.conf.before-fz", "the machine's own resolv.conf, while ours is in its place"],
    ],
    "For other users:",
    [
      ["$XDG_CONFIG_HOME/fz", "profiles and tokens; ~/.config/fz without the variable"],
      ["$XDG_RUNTIME_DIR/fz", "sockets of the session; STATE/run without the variable"],
      [
        "$XDG_STATE_HOME/fz",
        "STATE: logs and what else outlives the session; ~/.local/state/fz without the variable",
      ],
    ],
    "FZ_CONFIG_DIR, FZ_RUNTIME_DIR and FZ_STATE_DIR name other folders. fz config path prints where the settings of a " +
    "profile are.",
  ],
};
