/** Shows a page in the browser of the person at this machine, if there is one. */

/** A command and its arguments. */
type CommandLine = readonly [string, ...string[]];

/** What tells whether somebody sits before this machine. */
export interface Desktop {
  readonly os: typeof Deno.build.os;
  readonly uid: number | undefined;
  readonly env: (name: string) => string | undefined;
}

/** A starter that is still alive after this long has a browser to start, or is it. */
const START_LIMIT_MS = 2000;

/** Starts a browser at `url`; returns whether one was there. */
export async function openBrowser(url: string, desktop: Desktop = thisDesktop()): Promise<boolean> {
  for (const command of browserCommands(url, desktop)) if (await starts(command)) return true;
  return false;
}

/**
 * Returns what to try, in order. BROWSER is an order and always counts. Else nothing is opened for root, whose screen
 * is somebody else's, nor over SSH, where the screen is elsewhere.
 */
export function browserCommands(url: string, { os, uid, env }: Desktop): readonly CommandLine[] {
  const wanted = (env("BROWSER") ?? "").split(":").map((entry) => entry.trim()).filter((entry) =>
    entry !== ""
  );
  if (wanted.length > 0) return wanted.map((entry) => commandOf(entry, url));
  const isRemote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].some((name) => (env(name) ?? "") !== "");
  if (uid === 0 || isRemote) return [];
  if (os === "darwin") return [["open", url]];
  if (os === "windows") return [["rundll32", "url.dll,FileProtocolHandler", url]];
  const hasScreen = ["DISPLAY", "WAYLAND_DISPLAY"].some((name) => (env(name) ?? "") !== "");
  return hasScreen ? [["xdg-open", url]] : [];
}

/** "firefox", or "w3m %s". No shell takes part. */
function commandOf(entry: string, url: string): CommandLine {
  const [program = "", ...args] = entry.split(/\s+/);
  const isPlaced = args.some((arg) => arg.includes("%s"));
  return isPlaced ? [program, ...args.map((arg) => arg.replaceAll("%s", url))] : [program, ...args, url];
}

async function starts([program, ...args]: CommandLine): Promise<boolean> {
  try {
    const child = new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    child.unref();
    const isUp = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => isUp.resolve(true), START_LIMIT_MS);
    const isFine = child.status.then(({ success }) => success);
    return await Promise.race([isFine, isUp.promise]).finally(() => clearTimeout(timer));
  } catch {
    return false;
  }
}

function thisDesktop(): Desktop {
  return { os: Deno.build.os, uid: Deno.uid() ?? undefined, env: (name) => Deno.env.get(name) };
}
