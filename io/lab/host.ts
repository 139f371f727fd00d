/**
 * A host of the lab: a network namespace with a name, kept alive by one process whose mount namespace gives it an
 * /etc, /run and /var/lib of its own. What a program writes there (resolv.conf above all) is the host's alone.
 */

import { toolPath } from "./isolation.ts";
import { LabProcess, type Outcome, type SpawnOptions } from "./process.ts";

/**
 * Runs as the keeper. Folders are shadowed by a tmpfs full of links to the originals: an overlay would keep the
 * originals' owners, which an ordinary user's namespace cannot write to.
 */
const KEEPER = `
shadow() {
  mkdir -p "/run/fz-original$1" && mount --rbind "$1" "/run/fz-original$1" || return 1
  mount -t tmpfs -o mode=755 tmpfs "$1" || return 1
  find "/run/fz-original$1" -mindepth 1 -maxdepth 1 -exec ln -s -t "$1" -- {} +
}
mount --make-rprivate / || exit 1
mount -t tmpfs -o mode=755 tmpfs /run || exit 1
shadow /etc || exit 1
shadow /var/lib || exit 1
mount -t sysfs sysfs /sys 2>/dev/null
rm -f /etc/resolv.conf /etc/hosts /etc/hostname /etc/nsswitch.conf /etc/machine-id
# Links: a program on this host must not write into what an installation on the machine has there.
rm -f /etc/polkit-1 /etc/sysusers.d /etc/.pwd.lock
for file in passwd group shadow gshadow subuid subgid; do
  if cp "/etc/$file" "/run/fz-$file" 2>/dev/null; then rm "/etc/$file" && mv "/run/fz-$file" "/etc/$file"; fi
done
rm -f /etc/fz /var/lib/fz /etc/dev.firezone.client /var/lib/dev.firezone.client /var/lib/firezone
: >/etc/resolv.conf
printf '127.0.0.1 localhost %s\\n::1 localhost\\n' "$1" >/etc/hosts
printf '%s\\n' "$1" >/etc/hostname
printf 'passwd: files\\ngroup: files\\nhosts: files dns\\n' >/etc/nsswitch.conf
hostname "$1" 2>/dev/null
for scope in all default; do
  echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad 2>/dev/null
done
ip link set lo up || exit 1
echo ready
exec sleep infinity
`;

export class Host {
  /** Name of the host and of its network namespace. */
  readonly name: string;
  readonly #keeper: LabProcess;
  readonly #processes = new Set<LabProcess>();

  private constructor(name: string, keeper: LabProcess) {
    this.name = name;
    this.#keeper = keeper;
  }

  /** Makes the host; `name` must be free in this isolation. */
  static async create(name: string): Promise<Host> {
    const argv = ["unshare", "--mount", "--net", "--uts", "--", "sh", "-c", KEEPER, "keeper", name];
    const keeper = new LabProcess(argv, ["keeper", name], { path: toolPath() });
    await keeper.waitFor(/ready/);
    const host = new Host(name, keeper);
    await mustRun(["ip", "netns", "attach", name, String(keeper.pid)]);
    return host;
  }

  /** Process id of the keeper, by which the namespaces are named. */
  get pid(): number {
    return this.#keeper.pid;
  }

  /** Runs `command` on this host and returns how it ended. */
  async run(command: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
    return await this.spawn(command, options).outcome;
  }

  /** Runs `command` on this host and returns its standard output; throws if it fails. */
  async must(command: readonly string[], options: SpawnOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options);
    if (code === 0) return stdout;
    throw new Error(`"${command.join(" ")}" on ${this.name} failed with code ${code}: ${stderr || stdout}`);
  }

  /** Starts `command` on this host. It is ended with the lab, if it has not ended before. */
  spawn(command: readonly string[], options: SpawnOptions = {}): LabProcess {
    const { cwd = Deno.cwd() } = options;
    const enter = [
      "nsenter",
      "-t",
      String(this.pid),
      "-m",
      "-n",
      "-u",
      "--",
      "setsid",
      "env",
      "-C",
      cwd,
      ...command,
    ];
    const process = new LabProcess(enter, command, { ...options, path: toolPath() });
    this.#processes.add(process);
    process.outcome.finally(() => this.#processes.delete(process));
    return process;
  }

  /** Writes the host's /etc/resolv.conf. */
  async setResolvers(servers: readonly string[], search: readonly string[] = []): Promise<void> {
    const lines = servers.map((server) => `nameserver ${server}\n`);
    if (search.length > 0) lines.push(`search ${search.join(" ")}\n`);
    await this.writeFile("/etc/resolv.conf", lines.join(""));
  }

  /** Writes `text` to the file `path` as this host sees it. */
  async writeFile(path: string, text: string, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"';
    await this.must(["sh", "-c", script, "write", path, mode.toString(8)], { input: text });
  }

  /** Returns the text of the file `path` as this host sees it. */
  async readFile(path: string): Promise<string> {
    return await this.must(["cat", path]);
  }

  /** Lets the host pass packets on between its interfaces. */
  async enableForwarding(): Promise<void> {
    const settings = [
      "net.ipv4.ip_forward=1",
      "net.ipv6.conf.all.forwarding=1",
      "net.ipv6.conf.default.forwarding=1",
    ];
    for (const setting of settings) {
      const [name, value] = setting.split("=") as [string, string];
      await this.must(["sh", "-c", `echo ${value} > /proc/sys/${name.replaceAll(".", "/")}`]);
    }
  }

  /** Sets the default route of the gateway's family. */
  async setDefaultRoute(gateway: string): Promise<void> {
    await this.addRoute("default", gateway);
  }

  /** Routes `network` by `gateway`, an address on one of the host's links. */
  async addRoute(network: string, gateway: string): Promise<void> {
    await this.must(["ip", gateway.includes(":") ? "-6" : "-4", "route", "replace", network, "via", gateway]);
  }

  /** Loads `rules` into the host's nftables. */
  async nft(rules: string): Promise<void> {
    await this.must(["nft", "-f", "-"], { input: rules });
  }

  /** Ends what was spawned on this host. */
  async stopProcesses(): Promise<void> {
    await Promise.all([...this.#processes].map((process) => process.stop(500)));
  }

  /** Ends everything on this host, and the host. */
  async close(): Promise<void> {
    await this.stopProcesses();
    const { stdout } = await runTool(["ip", "netns", "pids", this.name]);
    for (const pid of stdout.split(/\s+/).filter((text) => text !== "")) {
      if (Number(pid) !== this.pid) killQuietly(Number(pid));
    }
    this.#keeper.kill("SIGKILL");
    await this.#keeper.outcome;
    await runTool(["ip", "netns", "delete", this.name]);
  }
}

/** Runs `command` in the lab's own namespace, outside all hosts, and returns how it ended. */
export async function runTool(command: readonly string[]): Promise<Outcome> {
  return await new LabProcess(command, command, { path: toolPath() }).outcome;
}

/** Like `runTool`; returns standard output and throws if the command fails. */
export async function mustRun(command: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTool(command);
  if (code === 0) return stdout;
  throw new Error(`"${command.join(" ")}" failed with code ${code}: ${stderr || stdout}`);
}

function killQuietly(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
