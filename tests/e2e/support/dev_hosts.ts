/** `fz dev` and what is around it: a host that runs it, a web server behind that, and a client of it. */

import type { Host } from "../../../io/lab/host.ts";
import type { Lab } from "../../../io/lab/lab.ts";
import type { LabProcess } from "../../../io/lab/process.ts";
import type { DevFacts } from "../../../lib/control/config.ts";

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;
const WEB = new URL("../../../io/demo/web.ts", import.meta.url).pathname;

/** Where `dev` serves. */
export const DEV_ADDRESS = "10.9.0.1";
/** A name of the web server that `dev` knows. */
export const DEV_NAME = "app.dev.internal";

export interface DevHosts {
  readonly dev: Host;
  readonly client: Host;
  readonly web: Host;
}

/** Makes the hosts; `fz dev` does not run yet. */
export async function devHosts(lab: Lab): Promise<DevHosts> {
  const [dev, client, web] = await Promise.all([lab.host("dev"), lab.host("client"), lab.host("web")]);
  await lab.link([dev, { v4: `${DEV_ADDRESS}/24` }], [client, { v4: "10.9.0.2/24" }]);
  await lab.link([dev, { v4: "172.20.0.1/24" }], [web, { v4: "172.20.0.10/24" }]);
  await dev.must(["sh", "-c", `echo 172.20.0.10 ${DEV_NAME} >>/etc/hosts`]);
  await client.setResolvers([DEV_ADDRESS]);
  await web.spawn([Deno.execPath(), "run", "--allow-net", "--quiet", WEB, "80"]).waitFor(/ready/);
  return { dev, client, web };
}

/** Starts `fz` with `args` on `host`, with a folder for temporary files that no other host sees. */
export function spawnOn(
  host: Host,
  args: readonly string[],
  env: Record<string, string> = {},
): LabProcess {
  return host.spawn([Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args], {
    env: { TMPDIR: "/run", ...env },
  });
}

/** Starts `fz dev` for `resources` and returns it with what it tells. */
export async function startDev(
  { dev }: DevHosts,
  resources: readonly string[],
): Promise<{ server: LabProcess; facts: DevFacts & { readonly schema: number } }> {
  const targets = resources.flatMap((target) => ["--resource", target]);
  const server = spawnOn(dev, ["dev", "--address", DEV_ADDRESS, ...targets, "--json"]);
  await server.waitFor(/^\{.*\}$/m);
  return { server, facts: JSON.parse(server.stdout) };
}

/** Returns the folders and devices that a `fz dev` on `host` has made. */
export async function devTraces(host: Host): Promise<string> {
  const { stdout } = await host.run(["sh", "-c", "ls -d /run/fz-dev-*; ip -brief link | grep firezone"]);
  return stdout;
}

/** Puts `fz` on the PATH of `host`, as an installation does, and returns that PATH. */
export async function installOn(host: Host): Promise<string> {
  const script = `#!/bin/sh\nexec "${Deno.execPath()}" run -A --quiet "${MAIN}" "$@"\n`;
  await host.writeFile("/run/bin/fz", script, 0o755);
  return `/run/bin:${(await host.must(["sh", "-c", "echo $PATH"])).trim()}`;
}
