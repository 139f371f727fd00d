/** The background service under systemd, by systemctl(1). */

import { runTool } from "../../ffi/command.ts";
import { Fault } from "../../lib/base/fault.ts";
import {
  SERVICE_NAME,
  type ServiceRequest,
  type ServiceStatus,
  type Supervisor,
} from "../../lib/control/service/service.ts";
import { systemdUnit, UNIT_FILE } from "../../lib/control/service/systemd.ts";
import { READERS_GROUP } from "../../lib/control/paths.ts";
import { checkFolder, makeReadersGroup, readersGroup, serviceOptions } from "./definition.ts";
import { installUser, removeUser } from "./system_user.ts";
import { needRoot, readDefinition, writeDefinition } from "./supervisor.ts";

/** Returns whether systemd is this machine's supervisor: sd_booted(3). */
export function isSystemdRunning(): boolean {
  try {
    return Deno.lstatSync("/run/systemd/system").isDirectory;
  } catch {
    return false;
  }
}

/** See `Supervisor`. */
export class Systemd implements Supervisor {
  readonly kind = "systemd";

  async install(request: ServiceRequest): Promise<readonly string[]> {
    needRoot("install");
    const done: string[] = [];
    const options = await serviceOptions(request);
    for (const folder of options.folders) await checkFolder(folder);
    done.push(...await installUser(options.user));
    if (await makeReadersGroup()) {
      done.push(`made the group ${READERS_GROUP}, whose members may ask the session`);
    }
    const text = systemdUnit({ ...options, readersGroup: await readersGroup() });
    if (await writeDefinition(UNIT_FILE, text)) {
      await systemctl("daemon-reload");
      done.push(`wrote ${UNIT_FILE}`);
    }
    if (!(await this.status()).isEnabled) {
      await systemctl("enable", SERVICE_NAME);
      done.push("starts with the machine");
    }
    return done;
  }

  async uninstall(): Promise<readonly string[]> {
    needRoot("uninstall");
    if (await readDefinition(UNIT_FILE) === undefined) return [];
    const done: string[] = [];
    const { state } = await this.status();
    if (state !== "inactive" && state !== "failed") {
      await this.stop();
      done.push("stopped the session");
    }
    await systemctl("disable", SERVICE_NAME);
    await Deno.remove(UNIT_FILE);
    await systemctl("daemon-reload");
    // Fails where there is no failure to forget.
    await runTool("systemctl", ["reset-failed", SERVICE_NAME]);
    return [...done, `removed ${UNIT_FILE}`, ...await removeUser()];
  }

  async start(): Promise<void> {
    needRoot("start");
    await mustBeInstalled();
    // Not to the end: that comes when the tunnel is configured, which may be tomorrow.
    await systemctl("start", "--no-block", SERVICE_NAME);
  }

  async stop(): Promise<void> {
    needRoot("stop");
    await mustBeInstalled();
    await systemctl("stop", SERVICE_NAME);
  }

  async status(): Promise<ServiceStatus> {
    const names = ["ActiveState", "UnitFileState", "StatusText", "MainPID", "NRestarts", "ExecMainStatus"];
    const text = await systemctl("show", `--property=${names.join(",")}`, SERVICE_NAME);
    const properties = new Map(
      text.split("\n").map((line) => {
        const [name = "", ...value] = line.split("=");
        return [name, value.join("=")];
      }),
    );
    const number = (name: string) => {
      const value = properties.get(name);
      return value === undefined || !/^\d+$/.test(value) ? undefined : Number(value);
    };
    const pid = number("MainPID");
    const statusText = properties.get("StatusText");
    return {
      supervisor: this.kind,
      definition: UNIT_FILE,
      isInstalled: await readDefinition(UNIT_FILE) !== undefined,
      isEnabled: properties.get("UnitFileState") === "enabled",
      state: properties.get("ActiveState") ?? "unknown",
      text: statusText === "" ? undefined : statusText,
      pid: pid === 0 ? undefined : pid,
      restarts: number("NRestarts"),
      lastExitCode: pid === 0 ? number("ExecMainStatus") : undefined,
    };
  }
}

async function mustBeInstalled(): Promise<void> {
  if (await readDefinition(UNIT_FILE) !== undefined) return;
  throw new Fault("not-running", "The service is not installed", { next: "Run `fz service install`." });
}

/** Returns what systemctl printed. */
async function systemctl(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTool("systemctl", ["--no-pager", "--no-ask-password", ...words]);
  if (code === 0) return stdout.trim();
  const verb = words[0]!;
  throw new Fault(
    "unexpected",
    `systemd did not ${verb}: ${stderr.trim().split("\n")[0] ?? `exit code ${code}`}`,
    {
      next: `"systemctl status ${SERVICE_NAME}" and "journalctl -u ${SERVICE_NAME}" tell more.`,
    },
  );
}
