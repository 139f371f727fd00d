/** Finds the system bus and authenticates (D-Bus Specification, "Server Addresses" and "Authentication Protocol"). */

import { err, ok, type Result } from "../../../lib/base/result.ts";

/** What the bus may take to let us in. */
const HANDSHAKE_MS = 5000;
/** Longest line of the bus while it does. */
const MAX_LINE = 512;

/**
 * Returns the sockets where the system bus may listen, in order: those of DBUS_SYSTEM_BUS_ADDRESS if that is set, else
 * the usual ones. Other transports than `unix:path=` are left out.
 */
export function systemBusPaths(address = Deno.env.get("DBUS_SYSTEM_BUS_ADDRESS") ?? ""): string[] {
  if (address === "") return ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];
  return address.split(";").flatMap((one) => {
    const path = /^unix:(?:.*,)?path=([^,]+)/.exec(one)?.[1];
    if (path === undefined) return [];
    try {
      return [decodeURIComponent(path)];
    } catch {
      return [];
    }
  });
}

/**
 * Returns a connection to the first of `paths` that takes us, past authentication; or why there is none. `signal` ends
 * it at once.
 */
export async function openSocket(
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<Result<Deno.UnixConn>> {
  let reason = "there is no system bus";
  // "/var/run" leads to "/run": a bus that says nothing is waited for once.
  for (const path of new Set(paths.map(realPath))) {
    if (signal?.aborted) break;
    let socket: Deno.UnixConn;
    try {
      socket = await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) reason = `cannot connect to the system bus: ${error}`;
      continue;
    }
    const failure = await authenticate(socket, signal);
    if (failure === undefined) return ok(socket);
    reason = failure;
  }
  return err(reason);
}

/**
 * Says who we are by the credentials of the socket: a user id in words would be wrong in a container that has other
 * ones than the bus. Closes `socket` and returns why, if that fails.
 */
async function authenticate(socket: Deno.UnixConn, signal?: AbortSignal): Promise<string | undefined> {
  const stop = () => closeQuietly(socket);
  const timer = setTimeout(stop, HANDSHAKE_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    await send(socket, "\0AUTH EXTERNAL\r\n");
    let line = await readLine(socket);
    if (line?.startsWith("DATA")) {
      await send(socket, "DATA\r\n");
      line = await readLine(socket);
    }
    if (line?.startsWith("OK ")) {
      await send(socket, "BEGIN\r\n");
      return undefined;
    }
  } catch {
    // Closed by the bus, by the timer or by the signal.
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
  closeQuietly(socket);
  return "the system bus does not let this user in";
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}

async function send(socket: Deno.UnixConn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await socket.write(bytes.subarray(sent));
}

/** The bus says nothing of itself before "BEGIN": what was read is one line, in as many pieces as it comes. */
async function readLine(socket: Deno.UnixConn): Promise<string | undefined> {
  const buffer = new Uint8Array(MAX_LINE);
  let length = 0;
  while (length < MAX_LINE) {
    const count = await socket.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    if (buffer[length - 2] === 13 && buffer[length - 1] === 10) {
      return new TextDecoder().decode(buffer.subarray(0, length - 2));
    }
  }
  return undefined;
}

function closeQuietly(socket: Deno.UnixConn): void {
  try {
    socket.close();
  } catch {
    // Closed already.
  }
}
