/**
 * Runs a command in namespaces of its own: network, mounts and processes, and for an ordinary user a user namespace in
 * which that user is root. Whatever the command makes there (network namespaces, interfaces, processes, files below
 * /run) ends with it, however it ends, `kill -9` included, because the kernel takes it down with the namespaces.
 */

import { Fault } from "../../lib/base/fault.ts";

/** Tells processes inside that they are inside. */
const MARK = "FZ_ISOLATED";

/** Returns whether this process runs in namespaces made by `runIsolated`. */
export function isIsolated(): boolean {
  return Deno.env.get(MARK) === "1";
}

/** How a command is run apart from the machine. */
export interface IsolatedOptions {
  /** Variables added to the environment of the command. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Gives the command a line on standard input, in place of ours: the process id by which the outside knows the first
   * process inside, whose namespaces others may then enter.
   */
  readonly tellPid?: boolean;
}

const PASSED_ON: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs `command` isolated, with this process's standard streams, and returns its exit code. Signals that end
 * it are passed on. Throws `Fault` "privilege" that names the setting in the way where the kernel forbids it.
 */
export async function runIsolated(
  command: readonly string[],
  options: IsolatedOptions = {},
): Promise<number> {
  const flags = await permittedFlags();
  const child = new Deno.Command("setpriv", {
    // The session of its own keeps a terminal's Ctrl+C from arriving twice: from the terminal and from here.
    args: ["--pdeathsig", "KILL", "setsid", "unshare", ...flags, "--", "sh", "-c", INIT, "init", ...command],
    env: { ...options.env, [MARK]: "1", PATH: toolPath() },
    stdin: options.tellPid ? "piped" : "inherit",
  }).spawn();
  const listeners = PASSED_ON.map((signal) => {
    const listener = () => passOn(child.pid, signal);
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  try {
    if (options.tellPid) await tellPid(child);
    return (await child.status).code;
  } finally {
    for (const remove of listeners) remove();
  }
}

async function tellPid(child: Deno.ChildProcess): Promise<void> {
  const writer = child.stdin.getWriter();
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = firstInside(child.pid);
    if (first !== undefined) {
      // A command that has ended already does not read.
      await writer.write(new TextEncoder().encode(`${first}\n`)).catch(() => {});
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await writer.close().catch(() => {});
}

/** Returns the line that `tellPid` gave this process, or undefined. */
export async function toldPid(): Promise<number | undefined> {
  const buffer = new Uint8Array(32);
  const length = await Deno.stdin.read(buffer);
  const pid = Number(new TextDecoder().decode(buffer.subarray(0, length ?? 0)).trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}

/**
 * The first process inside: mounts a private /run (where `ip netns` keeps its names), hands signals to the command,
 * collects orphans. The command's standard input has to be passed by a copy: a shell gives background jobs /dev/null.
 */
const INIT = `
mount -t tmpfs -o mode=755 tmpfs /run || exit 125
ip link set lo up || exit 125
exec 3<&0
env --default-signal=INT,QUIT "$@" <&3 3<&- &
child=$!
exec 3<&- </dev/null
for signal in INT TERM HUP; do trap "kill -$signal $child 2>/dev/null" $signal; done
while :; do
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || exit $code
done
`;

/** Returns PATH with the folders of the administrator's tools, which ordinary users and services often lack. */
export function toolPath(): string {
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
  for (const folder of ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]) {
    if (!path.includes(folder)) path.push(folder);
  }
  return path.join(":");
}

const NAMESPACES = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
const AS_USER = ["--user", "--map-root-user"];

/** Returns the `unshare` flags with which this user may make namespaces here. */
async function permittedFlags(): Promise<readonly string[]> {
  const candidates = Deno.uid() === 0
    ? [NAMESPACES, [...AS_USER, ...NAMESPACES]]
    : [[...AS_USER, ...NAMESPACES]];
  let complaint = "";
  for (const flags of candidates) {
    const probe = await new Deno.Command("unshare", {
      args: [...flags, "--", "sh", "-c", "mount -t tmpfs tmpfs /run && ip link set lo up"],
      env: { PATH: toolPath() },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output().catch((error) => ({ success: false, stderr: new TextEncoder().encode(String(error)) }));
    if (probe.success) return flags;
    complaint = new TextDecoder().decode(probe.stderr).trim().split("\n").at(-1) ?? "";
  }
  throw refusal(complaint);
}

/** Settings of the kernel by which an ordinary user's namespaces are forbidden: file, forbidding value, remedy. */
const SETTINGS = [
  ["kernel.unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"],
  ["user.max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"],
  ["user.max_net_namespaces", "0", "sysctl user.max_net_namespaces=10000"],
  [
    "kernel.apparmor_restrict_unprivileged_userns",
    "1",
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
  ],
] as const;

function refusal(complaint: string): Fault {
  const root = Deno.uid() === 0;
  for (const [name, forbidding, remedy] of SETTINGS) {
    if (root && !name.startsWith("user.")) continue;
    if (readSetting(name) !== forbidding) continue;
    return new Fault("privilege", `Cannot create namespaces: the setting ${name} is ${forbidding}`, {
      next: `Run "${remedy}" as root${root ? "" : ", or run this command as root"}.`,
    });
  }
  const detail = complaint === "" ? "the kernel refused" : complaint;
  return new Fault("privilege", `Cannot create namespaces: ${detail}`, {
    next: root
      ? "In a container, grant CAP_SYS_ADMIN and CAP_NET_ADMIN and allow unshare and mount (--privileged)."
      : "Run this command as root, or ask for user namespaces to be allowed.",
  });
}

function readSetting(name: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/sys/${name.replaceAll(".", "/")}`).trim();
  } catch {
    return undefined;
  }
}

/** Throws `Fault` that says what is wrong with /dev/net/tun, if anything is. */
export function requireTunDevice(): void {
  const path = "/dev/net/tun";
  try {
    Deno.openSync(path, { read: true, write: true }).close();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new Fault("tun", `Cannot open ${path}: it does not exist`, {
        cause,
        next: 'Run "modprobe tun" as root; in a container pass --device /dev/net/tun.',
      });
    }
    const mode = (Deno.statSync(path).mode ?? 0) & 0o777;
    throw new Fault("privilege", `Cannot open ${path}: its mode is ${mode.toString(8)}`, {
      cause,
      next: `Run "chmod 666 ${path}" as root, or run this command as root.`,
    });
  }
}

/** Sends `signal` to the first process inside: `unshare` itself, `pid`, blocks the ones that matter. */
function passOn(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(firstInside(pid) ?? pid, signal);
  } catch {
    // Gone already.
  }
}

/** Returns the child of `unshare`, the process `pid`, once there is one. */
function firstInside(pid: number): number | undefined {
  try {
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
    return children === "" ? undefined : Number(children.split(" ")[0]);
  } catch {
    return undefined;
  }
}
