/** `fz portal`: the portal as a role that runs in the foreground. */

import type { PortalConfig } from "../lib/control/config.ts";
import type { Log } from "../lib/base/log.ts";
import { pathsOf } from "../lib/control/paths.ts";
import type { EventSink } from "../lib/control/event.ts";
import type { PortalEvent } from "../lib/portal/portal.ts";
import type { IssuedToken } from "../lib/portal/seed.ts";
import { openEvents } from "./events.ts";
import type { RunningRole } from "./lifetime.ts";
import { pathContext } from "./path_context.ts";
import { isServed } from "./portal_admin.ts";
import { startPortal } from "./portal_server.ts";

/**
 * Starts a portal as `config` says. Tokens that seeding made and that go to no file are given to `show`, once: they are
 * secrets, so not to the log.
 */
export async function runPortal(
  config: PortalConfig,
  log: Log,
  show: (line: string) => void = printLine,
): Promise<RunningRole> {
  const events = openEvents();
  const { listen, databaseFile, seedFile } = config;
  const adminSocket = config.adminSocket ?? await usualSocket(log);
  const server = await startPortal({
    listen: { host: listen.ip.toString(), port: listen.port },
    log,
    onEvent: (event) => report(event, events.emit),
    ...(databaseFile === undefined ? {} : { database: databaseFile }),
    ...(seedFile === undefined ? {} : { seed: seedFile }),
    ...(adminSocket === undefined ? {} : { adminSocket }),
  });
  log.info("Portal listens", { url: server.url });
  for (const token of server.issued) if (token.writeTo === undefined) show(describe(token));
  events.emit({ event: "ready", listening: listen.toString(), adminSocket });
  const done = server.stopped.finally(() => {
    events.emit({ event: "stopped" });
    events.close();
  });
  const stop = () => {
    events.emit({ event: "stopping" });
    return server.stop();
  };
  return { ready: Promise.resolve(), done, stop };
}

/** Returns where administrators look for a portal first; undefined where it cannot serve there. */
async function usualSocket(log: Log): Promise<string | undefined> {
  const { runtime, portalAdminSocket } = pathsOf(pathContext());
  try {
    await Deno.mkdir(runtime, { recursive: true, mode: 0o755 });
    if (!await isServed(portalAdminSocket)) return portalAdminSocket;
    log.warn("No admin socket: another portal has the usual one. Give this one --admin-socket.");
  } catch (error) {
    log.warn("No admin socket: its folder cannot be made. Give another by --admin-socket.", {
      folder: runtime,
      reason: error instanceof Error ? error.message : String(error),
    });
  }
  return undefined;
}

function report(event: PortalEvent, emit: EventSink): void {
  const { type, role, id } = event;
  emit(type === "peer-joined" ? { event: type, role, id, name: event.name } : { event: type, role, id });
}

function describe({ token, secret }: IssuedToken): string {
  return `${token.kind} token "${token.name}": ${secret}`;
}

function printLine(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
