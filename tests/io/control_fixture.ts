/** A control API in a folder of its own, with handlers that a test hands in, and raw clients for it. */

import { connectControl } from "../../io/control/client.ts";
import type { Control } from "../../lib/control/control.ts";
import type { ControlHandlers } from "../../io/control/handlers.ts";
import { type ControlServerOptions, serveControl } from "../../io/control/server.ts";
import type { ControlLimits } from "../../io/control/server_connection.ts";
import { fromUtf8, utf8 } from "../../lib/base/bytes.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { StatusDocument } from "../../lib/control/api.ts";
import { type PathContext, type Paths, pathsOf } from "../../lib/control/paths.ts";

export interface Fixture {
  readonly paths: Paths;
  readonly context: PathContext;
  /** Connects as the user of the session. */
  client(authority: "read" | "change", answerMs?: number): Promise<Control>;
  /** Sends `bytes` to the owner's socket and returns what comes until the server closes. */
  raw(bytes: Uint8Array | string, path?: string): Promise<string>;
  stop(): Promise<void>;
}

export interface FixtureOptions extends Partial<Omit<ControlServerOptions, "limits" | "handlers">> {
  readonly handlers?: Partial<ControlHandlers>;
  readonly limits?: Partial<ControlLimits>;
  /** Where the session keeps its things; a new folder, which is removed, if undefined. */
  readonly folder?: string;
}

/** Runs `test` against a server and stops that. */
export async function withControl(
  options: FixtureOptions,
  test: (fixture: Fixture) => Promise<void>,
): Promise<void> {
  const folder = options.folder ?? Deno.makeTempDirSync({ prefix: "fz-control-" });
  Deno.chmodSync(folder, 0o755);
  const context: PathContext = {
    os: "linux",
    uid: Deno.uid() ?? 0,
    env: (name) => name === "FZ_RUNTIME_DIR" ? `${folder}/run` : undefined,
  };
  const paths = pathsOf(context);
  const { handlers = {}, folder: given, ...rest } = options;
  const server = await serveControl({
    checkAnswers: true,
    log: silentLog,
    paths,
    handlers: complete(handlers),
    ...rest,
  });
  let stopped: Promise<void> | undefined;
  const stop = () => stopped ??= server.stop();
  try {
    await test({
      paths,
      context,
      stop,
      client: (authority, answerMs) =>
        connectControl(authority, { context, ...(answerMs === undefined ? {} : { answerMs }) }),
      raw: (bytes, path = paths.controlSocket) => exchange(path, bytes),
    });
  } finally {
    await stop();
    if (given === undefined) Deno.removeSync(folder, { recursive: true });
  }
}

/** Sends `bytes` to the socket at `path` and returns what comes until the other end closes. */
export async function exchange(path: string, bytes: Uint8Array | string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  const data = typeof bytes === "string" ? utf8(bytes) : bytes;
  const writing = (async () => {
    try {
      for (let sent = 0; sent < data.length;) sent += await connection.write(data.subarray(sent));
      await connection.closeWrite();
    } catch {
      // The server had enough.
    }
  })();
  const text = await readToEnd(connection);
  await writing;
  return text;
}

/** Returns what comes until the other end closes or resets. */
export async function readToEnd(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  try {
    for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
      text += fromUtf8(buffer.subarray(0, count)) ?? "?";
    }
  } catch {
    // A reset ends it as well.
  }
  return text;
}

/** Returns the status of each answer in `text`. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
}

/** A session that has just signed in and has nothing. */
export const STATUS: StatusDocument = {
  schema: 1,
  version: "0.1.0",
  pid: 42,
  profile: "default",
  state: "connected",
  startedAt: "2026-01-01T00:00:00Z",
  readyAt: "2026-01-01T00:00:01Z",
  portal: { url: "wss://portal.example/", connected: true, since: "2026-01-01T00:00:01Z" },
  device: { name: "box" },
  internet: { available: false, wanted: false, active: false },
  resources: [],
  gateways: [],
  relays: [],
  drops: {},
};

function complete(handlers: Partial<ControlHandlers>): ControlHandlers {
  const base: Partial<ControlHandlers> = {
    version: () => ({ schema: 1, api: [1], version: "0.1.0" }),
    status: () => STATUS,
    stop: () => ({ schema: 1 }),
  };
  return new Proxy({ ...base, ...handlers } as ControlHandlers, {
    get: (target, name) =>
      Reflect.get(target, name) ?? (() => {
        throw new Error(`no handler for ${String(name)}`);
      }),
  });
}
