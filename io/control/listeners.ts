/**
 * Where the control API listens: Unix sockets that never exist with wider permissions than they shall have, or a port of
 * the loopback whose number and tokens are in files with those permissions.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { Log } from "../../lib/base/log.ts";
import { type Paths, READERS_GROUP } from "../../lib/control/paths.ts";
import { makeRuntimeFolder } from "../runtime_folder.ts";
import type { Guard } from "./server_connection.ts";

/** An open way in. */
export interface Entrance {
  readonly listener: Deno.Listener<Deno.Conn>;
  readonly guard: Guard;
  /** Removes what shows the way. */
  remove(): void;
}

/** How the control API can be reached. */
export type Transport = "unix" | "tcp";

const OWNER_ONLY = 0o600;
const OWNER_AND_GROUP = 0o660;

/**
 * Opens the ways in. The owner's always; the readers' only where `readersGroup` (a group id) is a group of this machine:
 * without it there would be nobody else to let in. Throws `Fault`.
 */
export function openEntrances(
  paths: Paths,
  transport: Transport,
  readersGroup: number | undefined,
  log: Log,
): Entrance[] {
  makeRuntimeFolder(paths.runtime);
  if (transport === "tcp") return [openTcp(paths, readersGroup, log)];
  const entrances = [openSocket(paths.controlSocket, "change")];
  if (readersGroup !== undefined) {
    try {
      entrances.push(openSocket(paths.readSocket, "read", readersGroup));
    } catch (error) {
      // An ordinary user who is no member may not give a file to the group.
      log.info("no socket for readers", { group: READERS_GROUP, error });
    }
  } else removeFile(paths.readSocket);
  return entrances;
}

/** Returns the id of the readers' group, undefined if this machine has none. Only /etc/group is asked. */
export function findReadersGroup(file = "/etc/group"): number | undefined {
  try {
    const line = Deno.readTextFileSync(file).split("\n").find((line) => line.startsWith(`${READERS_GROUP}:`));
    const id = line?.split(":")[2];
    return id !== undefined && /^\d{1,10}$/.test(id) ? Number(id) : undefined;
  } catch {
    return undefined;
  }
}

function openSocket(path: string, authority: "read" | "change", group?: number): Entrance {
  // Made under another name: it replaces what a killed session left in one step, and comes under its own name with the
  // permissions that it shall have. Whatever the runtime unlinks when the listener ends, it is not the next session's.
  const made = `${path}.${Deno.pid}`;
  removeFile(made);
  // Nobody else for a moment: the group comes in when the socket is the group's. The call is synchronous, so that no
  // other code of this thread makes files under this mask.
  const umask = Deno.umask(0o777 & ~OWNER_ONLY);
  let listener: Deno.Listener<Deno.Conn>;
  try {
    listener = Deno.listen({ transport: "unix", path: made });
  } catch (cause) {
    throw openFault(path, cause);
  } finally {
    Deno.umask(umask);
  }
  try {
    if (group !== undefined) {
      Deno.chownSync(made, null, group);
      Deno.chmodSync(made, OWNER_AND_GROUP);
    }
    Deno.renameSync(made, path);
  } catch (cause) {
    listener.close();
    removeFile(made);
    throw openFault(path, cause);
  }
  return { listener, guard: { type: "socket", authority }, remove: () => removeFile(path) };
}

function openTcp(paths: Paths, readersGroup: number | undefined, log: Log): Entrance {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const [change, read] = [makeToken(), makeToken()];
  const remove = () => {
    for (const file of [paths.controlFile, paths.controlReadFile]) removeFile(file);
  };
  try {
    writeDescriptor(paths.controlFile, port, change);
    removeFile(paths.controlReadFile);
    if (readersGroup !== undefined) writeDescriptor(paths.controlReadFile, port, read, readersGroup, log);
  } catch (cause) {
    listener.close();
    remove();
    throw openFault(paths.controlFile, cause);
  }
  return { listener, guard: { type: "tokens", port, change, read }, remove };
}

function writeDescriptor(path: string, port: number, token: string, group?: number, log?: Log): void {
  const half = `${path}.new`;
  removeFile(half);
  const file = Deno.openSync(half, { write: true, createNew: true, mode: OWNER_ONLY });
  try {
    file.writeSync(new TextEncoder().encode(`${JSON.stringify({ schema: 1, port, token })}\n`));
  } finally {
    file.close();
  }
  if (group !== undefined) {
    try {
      Deno.chownSync(half, null, group);
      Deno.chmodSync(half, 0o640);
    } catch (error) {
      removeFile(half);
      log?.info("no descriptor for readers", { group: READERS_GROUP, error });
      return;
    }
  }
  Deno.renameSync(half, path);
}

function makeToken(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toBase64({ alphabet: "base64url", omitPadding: true });
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // There is nothing to remove.
  }
}

function openFault(path: string, cause: unknown): Fault {
  const isDenied = cause instanceof Deno.errors.PermissionDenied;
  return new Fault(isDenied ? "privilege" : "unexpected", `Cannot listen at "${path}"`, {
    cause,
    next: isDenied
      ? "Run the command with sudo, or choose another folder by FZ_RUNTIME_DIR."
      : "See that the folder can be written, and that its path has at most 100 characters.",
  });
}
