/** The background service under launchd, by launchctl(1). Written from its manual; it has never run on a Mac. */

import { Fault } from "../../lib/base/fault.ts";
import { launchdPlist, PLIST_FILE } from "../../lib/control/service/launchd.ts";
import {
  LAUNCHD_LABEL,
  type ServiceRequest,
  type ServiceStatus,
  type Supervisor,
} from "../../lib/control/service/service.ts";
import { serviceOptions } from "./definition.ts";
import { needRoot, readDefinition, writeDefinition } from "./supervisor.ts";

const TARGET = `system/${LAUNCHD_LABEL}`;

/** See `Supervisor`. */
export class Launchd implements Supervisor {
  readonly kind = "launchd";

  async install(request: ServiceRequest): Promise<readonly string[]> {
    needRoot("install");
    return await writeDefinition(PLIST_FILE, launchdPlist(await serviceOptions(request)))
      ? [`wrote ${PLIST_FILE}`]
      : [];
  }

  async uninstall(): Promise<readonly string[]> {
    needRoot("uninstall");
    if (await readDefinition(PLIST_FILE) === undefined) return [];
    await launchctl("bootout", TARGET);
    await Deno.remove(PLIST_FILE);
    return [`removed ${PLIST_FILE}`];
  }

  async start(): Promise<void> {
    needRoot("start");
    if (await readDefinition(PLIST_FILE) === undefined) {
      throw new Fault("not-running", "The service is not installed", { next: "Run `fz service install`." });
    }
    if ((await launchctl("bootstrap", "system", PLIST_FILE)).code !== 0) {
      await mustLaunchctl("kickstart", TARGET);
    }
  }

  async stop(): Promise<void> {
    needRoot("stop");
    await mustLaunchctl("bootout", TARGET);
  }

  async status(): Promise<ServiceStatus> {
    const isInstalled = await readDefinition(PLIST_FILE) !== undefined;
    const { code, text } = await launchctl("print", TARGET);
    const field = (name: string) => new RegExp(`^\\s*${name} = (.*)$`, "m").exec(text)?.[1];
    const pid = Number(field("pid"));
    const lastExitCode = Number(field("last exit code"));
    return {
      supervisor: this.kind,
      definition: PLIST_FILE,
      isInstalled,
      isEnabled: isInstalled,
      state: code === 0 ? field("state") ?? "unknown" : "inactive",
      text: undefined,
      pid: Number.isInteger(pid) && pid > 0 ? pid : undefined,
      restarts: undefined,
      lastExitCode: Number.isInteger(lastExitCode) ? lastExitCode : undefined,
    };
  }
}

async function mustLaunchctl(...words: readonly string[]): Promise<void> {
  const { code, text } = await launchctl(...words);
  if (code !== 0) throw new Fault("unexpected", `launchd did not ${words[0]}: ${text.split("\n")[0]}`);
}

async function launchctl(
  ...words: readonly string[]
): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout, stderr } = await new Deno.Command("launchctl", { args: [...words], stdin: "null" })
    .output();
  const decoder = new TextDecoder();
  return { code, text: (decoder.decode(stdout) + decoder.decode(stderr)).trim() };
}
