/**
 * A real systemd as the first process of a lab host: for tests of the service. It gets namespaces of its own inside the
 * host's, and no units but those that the test makes.
 */

import assert from "node:assert/strict";
import { type Host, runTool } from "../../../io/lab/host.ts";
import type { Outcome } from "../../../io/lab/process.ts";

const TARGET = "fz-lab.target";
/** Targets that units name without saying so; here they need nothing. */
const TARGETS = [
  TARGET,
  "sysinit.target",
  "basic.target",
  "shutdown.target",
  "multi-user.target",
  "network-online.target",
];
/**
 * The path of units is ours alone: those of the machine would change kernel settings, start daemons and keep journals. Its
 * arguments are units to start as their packages have them.
 */
const INIT = `
mount -t proc proc /proc || exit 1
for folder in /tmp /var/log /etc/systemd; do mount -t tmpfs tmpfs $folder || exit 1; done
mkdir -p /etc/systemd/system /run/systemd/system /run/lock
for target in ${TARGETS.join(" ")}; do
  printf '[Unit]\\nDescription=%s of the lab\\nAllowIsolate=yes\\nDefaultDependencies=no\\n' "$target" \
    >/etc/systemd/system/$target
done
for unit in "$@"; do
  cp -L "/usr/lib/systemd/system/$unit" /etc/systemd/system/ || exit 1
  printf 'Wants=%s\\n' "$unit" >>/etc/systemd/system/${TARGET}
done
# Services get their credentials by a mount that must reach this namespace.
mount --make-rshared / || exit 1
export container=fz SYSTEMD_UNIT_PATH=/etc/systemd/system
exec /lib/systemd/systemd --system --unit=${TARGET} --log-target=console --show-status=no
`;

export class SystemdHost {
  readonly #pid: string;

  private constructor(pid: string) {
    this.#pid = pid;
  }

  /**
   * Starts systemd on `host`, and `units` of its /usr/lib with it. Returns why that cannot be done on this machine, if it
   * cannot.
   */
  static async start(host: Host, units: readonly string[] = []): Promise<SystemdHost | string> {
    const process = host.spawn([
      "unshare",
      "--pid",
      "--fork",
      "--mount",
      "--cgroup",
      "--kill-child",
      "sh",
      "-c",
      INIT,
      "init",
      ...units,
    ]);
    let output: Outcome | undefined;
    process.outcome.then((outcome) => output = outcome);
    for (let attempt = 0; attempt < 900 && output === undefined; attempt++) {
      const { stdout } = await runTool(["pgrep", "-f", `^/lib/systemd/systemd .*--unit=${TARGET}`]);
      const pid = stdout.trim().split("\n")[0] ?? "";
      if (pid !== "") {
        const systemd = new SystemdHost(pid);
        if ((await systemd.run(["systemctl", "is-system-running"])).stdout.trim() !== "") return systemd;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return `systemd does not run here: ${(output?.stderr ?? "it did not get ready").trim()}`;
  }

  /** Runs `command` where systemd is the first process. */
  async run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return await runTool([
      "nsenter",
      "-t",
      this.#pid,
      "-a",
      "--",
      "env",
      "-C",
      Deno.cwd(),
      ...assignments,
      ...command,
    ]);
  }

  /** Like `run`; returns standard output and fails if the command does. */
  async must(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, env);
    assert.equal(code, 0, `"${command.join(" ")}": ${stderr || stdout}`);
    return stdout;
  }

  /** Returns one property of the unit `fz`. */
  async property(name: string): Promise<string> {
    return (await this.must(["systemctl", "show", `--property=${name}`, "--value", "fz"])).trim();
  }
}
