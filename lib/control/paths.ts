/** Where a session keeps its sockets, state, settings and secrets; the same answer for the session and for the CLI. */

/** What decides where things are. */
export interface PathContext {
  readonly os: "linux" | "darwin" | "windows";
  /** Effective user id; undefined where the OS has none. */
  readonly uid: number | undefined;
  readonly env: (name: string) => string | undefined;
}

/** The places of one user's session. All paths are absolute. */
export interface Paths {
  /** Sockets, lock and session file; gone after a reboot. Mode 0755: the sockets guard themselves. */
  readonly runtime: string;
  /** What outlives the process: device id, logs, last good settings. */
  readonly state: string;
  /** Settings and tokens. */
  readonly config: string;
  /** Everything may be asked and changed here; only its owner may open it. */
  readonly controlSocket: string;
  /** Only questions; for the group `fz`. */
  readonly readSocket: string;
  /** Address and token of the control API where there are no Unix sockets. */
  readonly controlFile: string;
  /** The same for those who may only ask. */
  readonly controlReadFile: string;
  /** Held by the session for its life. */
  readonly lock: string;
  /** Held by `fz up` while it looks for a session and starts one. */
  readonly upLock: string;
  /** Who runs, since when, and what was changed on the machine: what a killed session leaves. */
  readonly sessionFile: string;
  /** Why the last session ended that failed. */
  readonly exitFile: string;
  /** Log of a session without a supervisor. */
  readonly logFolder: string;
  /** Admin socket of `fz portal`. */
  readonly portalAdminSocket: string;
}

/** The profile that is used when none was chosen. */
export const DEFAULT_PROFILE = "default";

/** Group whose members may ask a session of root, where the machine has it. */
export const READERS_GROUP = "fz";

/** Upstream's place for the token of a machine, and ours for root's default profile. */
const UPSTREAM_TOKEN = "/etc/dev.firezone.client/token";

/**
 * Returns the places of the user in `context`. FZ_RUNTIME_DIR, FZ_STATE_DIR and FZ_CONFIG_DIR win; then systemd's
 * RUNTIME_DIRECTORY and STATE_DIRECTORY, then XDG's variables for ordinary users.
 */
export function pathsOf(context: PathContext): Paths {
  const { runtime, state, config } = folders(context);
  return {
    runtime,
    state,
    config,
    controlSocket: `${runtime}/fz.sock`,
    readSocket: `${runtime}/fz-read.sock`,
    controlFile: `${runtime}/control.json`,
    controlReadFile: `${runtime}/control-read.json`,
    lock: `${runtime}/fz.lock`,
    upLock: `${runtime}/up.lock`,
    sessionFile: `${runtime}/session.json`,
    exitFile: `${runtime}/exit.json`,
    logFolder: `${state}/log`,
    portalAdminSocket: `${runtime}/portal.sock`,
  };
}

/**
 * Returns the places of the sessions that the user in `context` may mean, best first: his own, then the machine's (that
 * of root). Only one where FZ_RUNTIME_DIR names it.
 */
export function sessionPaths(context: PathContext): readonly Paths[] {
  const own = pathsOf(context);
  const isNamed = given(context, "FZ_RUNTIME_DIR") !== undefined;
  if (isNamed || context.uid === 0 || context.uid === undefined) return [own];
  return [own, pathsOf({ ...context, uid: 0, env: () => undefined })];
}

/** Returns the file with the settings of `profile`. */
export function settingsFile({ config }: Paths, profile: string): string {
  return `${config}/profiles/${profile}.toml`;
}

/** Returns the file with the token of `profile`: for root's default profile, upstream's. */
export function tokenFile(context: PathContext, profile: string): string {
  const { config } = pathsOf(context);
  const isMachine = context.uid === 0 && context.os !== "windows" &&
    given(context, "FZ_CONFIG_DIR") === undefined;
  return isMachine && profile === DEFAULT_PROFILE ? UPSTREAM_TOKEN : `${config}/profiles/${profile}.token`;
}

/** Returns the file that names the current profile. */
export function currentProfileFile({ config }: Paths): string {
  return `${config}/profile`;
}

interface Folders {
  readonly runtime: string;
  readonly state: string;
  readonly config: string;
}

function folders(context: PathContext): Folders {
  const natural = naturalFolders(context);
  return {
    runtime: given(context, "FZ_RUNTIME_DIR") ?? natural.runtime,
    state: given(context, "FZ_STATE_DIR") ?? natural.state,
    config: given(context, "FZ_CONFIG_DIR") ?? natural.config,
  };
}

function naturalFolders(context: PathContext): Folders {
  const home = given(context, "HOME") ?? `/tmp/fz-${context.uid ?? 0}`;
  switch (context.os) {
    case "windows": {
      const root = `${(given(context, "ProgramData") ?? "C:/ProgramData").replaceAll("\\", "/")}/fz`;
      return { runtime: `${root}/run`, state: `${root}/state`, config: root };
    }
    case "darwin":
      if (context.uid === 0) {
        return { runtime: "/var/run/fz", state: "/Library/Application Support/fz", config: "/etc/fz" };
      }
      return {
        runtime: `${home}/Library/Caches/fz/run`,
        state: `${home}/Library/Application Support/fz`,
        config: `${home}/.config/fz`,
      };
    case "linux": {
      // systemd hands over what it made for the unit; the first of several is ours.
      const supervised = (name: string) => given(context, name)?.split(":")[0];
      const runtime = supervised("RUNTIME_DIRECTORY");
      const state = supervised("STATE_DIRECTORY");
      if (context.uid === 0) {
        return { runtime: runtime ?? "/run/fz", state: state ?? "/var/lib/fz", config: "/etc/fz" };
      }
      const userState = state ?? `${given(context, "XDG_STATE_HOME") ?? `${home}/.local/state`}/fz`;
      const userRuntime = given(context, "XDG_RUNTIME_DIR");
      return {
        runtime: runtime ?? (userRuntime === undefined ? `${userState}/run` : `${userRuntime}/fz`),
        state: userState,
        config: `${given(context, "XDG_CONFIG_HOME") ?? `${home}/.config`}/fz`,
      };
    }
  }
}

function given(context: PathContext, name: string): string | undefined {
  const value = context.env(name);
  return value === undefined || value === "" ? undefined : value;
}
