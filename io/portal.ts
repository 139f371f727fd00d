/** `fz portal`: the portal as a role that runs in the foreground. */

import type { PortalConfig } from "../lib/control/config.ts";
import type { Log } from "../lib/base/log.ts";
import type { PortalEvent } from "../lib/portal/portal.ts";
import type { IssuedToken } from "../lib/portal/seed.ts";
import type { RunningRole } from "./lifetime.ts";
import { startPortal } from "./portal_server.ts";

/**
 * Starts a portal as `config` says. Tokens that seeding made and that go to no file are given to `show`, once: they are
 * secrets, so not to the log.
 */
export async function runPortal(
  config: PortalConfig,
  log: Log,
  show: (line: string) => void = printLine,
  onEvent: (event: PortalEvent) => void = () => {},
): Promise<RunningRole> {
  const server = await startPortal({
    listen: { host: config.listen.ip.toString(), port: config.listen.port },
    log,
    onEvent,
    ...(config.databaseFile === undefined ? {} : { database: config.databaseFile }),
    ...(config.seedFile === undefined ? {} : { seed: config.seedFile }),
    ...(config.adminSocket === undefined ? {} : { adminSocket: config.adminSocket }),
  });
  log.info("Portal listens", { url: server.url });
  for (const token of server.issued) if (token.writeTo === undefined) show(describe(token));
  return { ready: Promise.resolve(), done: server.stopped, stop: server.stop };
}

function describe({ token, secret }: IssuedToken): string {
  return `${token.kind} token "${token.name}": ${secret}`;
}

function printLine(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
