/**
 * Where the control API of a session is: a Unix socket, or a port of the loopback with a token. Which of the sessions on
 * this machine a user means, and how far he gets.
 */

import { Fault } from "../../lib/base/fault.ts";
import { READERS_GROUP, sessionPaths } from "../../lib/control/paths.ts";
import type { PathContext, Paths } from "../../lib/control/paths.ts";
import type { Connection } from "./byte_stream.ts";

/** A place where a session answers. */
export type Endpoint =
  | { readonly type: "unix"; readonly path: string; readonly paths: Paths }
  | { readonly type: "tcp"; readonly port: number; readonly token: string; readonly paths: Paths };

/** How long a session that lives may take to accept a connection. */
const CONNECT_MS = 3000;
/** Longest descriptor of a TCP endpoint. */
const MAX_DESCRIPTOR_BYTES = 4096;

/**
 * Returns where the session answers that the user in `context` means. Throws `Fault` "privilege" if it is not his to ask,
 * and what `notRunning` returns if there is none.
 */
export async function findEndpoint(
  context: PathContext,
  authority: "read" | "change",
  notRunning: (paths: readonly Paths[]) => Promise<Fault>,
): Promise<Endpoint> {
  const candidates = sessionPaths(context);
  let locked: Paths | undefined;
  for (const paths of candidates) {
    for await (const endpoint of endpointsOf(paths, authority)) {
      if (endpoint === "denied") {
        locked = paths;
        continue;
      }
      const outcome = await probe(endpoint);
      if (outcome === "there") return endpoint;
      if (outcome === "denied") locked = paths;
    }
  }
  // A socket that a killed session of somebody else left is closed to us, too.
  if (locked === undefined || await wasKilled(locked)) throw await notRunning(candidates);
  throw privilegeFault(locked, authority);
}

/** Opens a connection. Throws the error of the system, or `Fault` "timeout". */
export async function dial(endpoint: Endpoint): Promise<Connection> {
  const dialled: Promise<Connection> = endpoint.type === "unix"
    ? Deno.connect({ transport: "unix", path: endpoint.path })
    : Deno.connect({ hostname: "127.0.0.1", port: endpoint.port });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      dialled.then((connection) => connection.close(), () => {});
      reject(new StuckFault(`accept a connection within ${CONNECT_MS / 1000} s`));
    }, CONNECT_MS);
  });
  try {
    return await Promise.race([dialled, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A session that lives and does not do its part in time. */
export class StuckFault extends Fault {
  readonly #what: string;

  constructor(what: string, pid?: number) {
    const end = pid === undefined ? "end it" : `end it with "kill -9 ${pid}", then \`fz cleanup\``;
    super(
      "timeout",
      `Cannot ask the session${pid === undefined ? "" : ` (pid ${pid})`}: it did not ${what}`,
      {
        next: `It may be overloaded, or stopped by a debugger or SIGSTOP; if it stays so, ${end}.`,
      },
    );
    this.#what = what;
  }

  /** Returns the same with the process id of the session at `paths`, where it is known. */
  async named(paths: Paths): Promise<StuckFault> {
    const { readSessionTrace } = await import("../service/session_file.ts");
    const trace = await readSessionTrace(paths);
    return trace.type === "alive" ? new StuckFault(this.#what, trace.record.pid) : this;
  }
}

async function* endpointsOf(paths: Paths, authority: "read" | "change"): AsyncGenerator<Endpoint | "denied"> {
  if (Deno.build.os !== "windows") {
    yield { type: "unix", path: paths.controlSocket, paths };
    if (authority === "read") yield { type: "unix", path: paths.readSocket, paths };
  }
  yield* await tcpEndpoint(paths.controlFile, paths);
  if (authority === "read") yield* await tcpEndpoint(paths.controlReadFile, paths);
}

/** Returns the endpoint that the descriptor at `path` tells, or nothing. */
async function tcpEndpoint(path: string, paths: Paths): Promise<(Endpoint | "denied")[]> {
  try {
    const { isFile, size } = await Deno.stat(path);
    // Opening a pipe would wait for somebody who writes.
    if (!isFile || size > MAX_DESCRIPTOR_BYTES) return [];
    const { port, token } = JSON.parse(await Deno.readTextFile(path)) as { port?: unknown; token?: unknown };
    const isPort = typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536;
    if (!isPort || typeof token !== "string" || !/^[\w-]{16,256}$/.test(token)) return [];
    return [{ type: "tcp", port, token, paths }];
  } catch (error) {
    // Torn or alien text is no descriptor: nobody who lives wrote it.
    return isDenied(error) ? ["denied"] : [];
  }
}

async function probe(endpoint: Endpoint): Promise<"there" | "denied" | "absent"> {
  try {
    // Closed at once: the session drops idle connections, and a command may think for long before it asks.
    (await dial(endpoint)).close();
    return "there";
  } catch (error) {
    if (error instanceof Fault) throw error;
    return isDenied(error) ? "denied" : "absent";
  }
}

async function wasKilled(paths: Paths): Promise<boolean> {
  const { readSessionTrace } = await import("../service/session_file.ts");
  return (await readSessionTrace(paths)).type === "killed";
}

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable;
}

function privilegeFault({ runtime }: Paths, authority: "read" | "change"): Fault {
  const verb = authority === "read" ? "ask" : "steer";
  return new Fault("privilege", `Cannot ${verb} the session in "${runtime}": it is another user's`, {
    next: Deno.build.os === "windows"
      ? "Run the command as administrator."
      : authority === "read"
      ? `Run the command with sudo, or join the group "${READERS_GROUP}" to ask without it: sudo usermod -aG ${READERS_GROUP} "$USER", then sign in to this machine anew.`
      : "Run the command with sudo.",
  });
}
