/**
 * The background service of Windows, by sc.exe. Written from its manual; it has never run on Windows, and the session
 * does not yet answer the service control manager as a service must.
 */

import { serviceOptions } from "./definition.ts";
import { Fault } from "../../lib/base/fault.ts";
import {
  SERVICE_NAME,
  type ServiceRequest,
  type ServiceStatus,
  type Supervisor,
} from "../../lib/control/service/service.ts";
import { windowsInstall, windowsUninstall } from "../../lib/control/service/windows.ts";

/** See `Supervisor`. */
export class WindowsServices implements Supervisor {
  readonly kind = "windows";

  async install(request: ServiceRequest): Promise<readonly string[]> {
    for (const words of windowsInstall(await serviceOptions(request))) await must(words);
    return [`made the service "${SERVICE_NAME}"`];
  }

  async uninstall(): Promise<readonly string[]> {
    if (!(await this.status()).isInstalled) return [];
    await run(["sc.exe", "stop", SERVICE_NAME]);
    for (const words of windowsUninstall()) await must(words);
    return [`removed the service "${SERVICE_NAME}"`];
  }

  async start(): Promise<void> {
    await must(["sc.exe", "start", SERVICE_NAME]);
  }

  async stop(): Promise<void> {
    await must(["sc.exe", "stop", SERVICE_NAME]);
  }

  async status(): Promise<ServiceStatus> {
    const { code, text } = await run(["sc.exe", "queryex", SERVICE_NAME]);
    const field = (name: string) =>
      new RegExp(`^\\s*${name}\\s*:\\s*(?:\\d+\\s+)?(\\w+)`, "m").exec(text)?.[1];
    const pid = Number(/^\s*PID\s*:\s*(\d+)/m.exec(text)?.[1]);
    const exitCode = Number(/^\s*WIN32_EXIT_CODE\s*:\s*(\d+)/m.exec(text)?.[1]);
    return {
      supervisor: this.kind,
      definition: SERVICE_NAME,
      isInstalled: code === 0,
      isEnabled: code === 0,
      state: field("STATE")?.toLowerCase() ?? "inactive",
      text: undefined,
      pid: Number.isInteger(pid) && pid > 0 ? pid : undefined,
      restarts: undefined,
      lastExitCode: Number.isInteger(exitCode) ? exitCode : undefined,
    };
  }
}

async function must(words: readonly string[]): Promise<void> {
  const { code, text } = await run(words);
  if (code === 0) return;
  throw new Fault("unexpected", `"${words.slice(0, 3).join(" ")}" failed: ${text.split("\n")[0]}`, {
    next: "Run it from a prompt with administrator rights.",
  });
}

async function run(words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  const [program = "", ...args] = words;
  const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, text: (decoder.decode(stdout) + decoder.decode(stderr)).trim() };
}
