/** The portal on the network: HTTP and WebSockets around the machine of `lib/portal/portal.ts`. */

import http from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { Fault } from "../lib/base/fault.ts";
import { type Log, silentLog } from "../lib/base/log.ts";
import type { Duration } from "../lib/base/time.ts";
import type { Refusal, UpgradeRequest } from "../lib/portal/admission.ts";
import { remoteAddress } from "../lib/portal/conditions.ts";
import { Directory } from "../lib/portal/directory.ts";
import { Portal, type PortalEvent } from "../lib/portal/portal.ts";
import type { WebContext } from "../lib/portal/sign_in.ts";
import { PortalWeb } from "../lib/portal/web.ts";
import {
  applySeed,
  type IssuedToken,
  MAX_SEED_LENGTH,
  parseSeed,
  Seed,
  type SeedInput,
  withLine,
} from "../lib/portal/seed.ts";
import { readInput } from "../lib/portal/inputs.ts";
import { Alarm } from "./alarm.ts";
import { monotonicNow, readWallClock } from "./clock.ts";
import { serveAdmin } from "./portal_admin.ts";
import { SqliteStore } from "./portal_store.ts";
import { headersOf, serveWeb } from "./portal_web.ts";
import { systemRng } from "./rng.ts";

/** Where a portal listens and what it keeps. */
export interface PortalServerOptions {
  /** Port 0 takes any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** SQLite file; left out, everything is forgotten at the end. */
  readonly database?: string;
  /** What the portal should contain: a declaration, or the path of a file with one. */
  readonly seed?: SeedInput | string;
  /** Unix socket of the admin API; left out, there is none. */
  readonly adminSocket?: string;
  /** Serves wss:// with this certificate and key, both PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Least time between two connects with one token from one address. Default 1 s; zero switches the limit off. */
  readonly connectInterval?: Duration;
  readonly log?: Log;
  /** Called for every peer that joins or leaves. */
  readonly onEvent?: (event: PortalEvent) => void;
}

/** A running portal. */
export interface PortalServer {
  /** The base URL for peers on this host. */
  readonly url: string;
  readonly port: number;
  /** Tokens that seeding made: shown once, nowhere kept. Those with `writeTo` are in their files. */
  readonly issued: readonly IssuedToken[];
  readonly portal: Portal;
  /** Runs `change` on the directory and tells all peers concerned at once. */
  change<T>(change: (directory: Directory) => T): T;
  /** Sends all peers away with 1012, so that they come back later, and ends. */
  stop(): Promise<void>;
  /** Resolves when the server has stopped, whoever asked for it. */
  readonly stopped: Promise<void>;
}

/** Starts a portal. Throws a `Fault` if database, seed or address cannot be used. */
export async function startPortal(options: PortalServerOptions): Promise<PortalServer> {
  const store = new SqliteStore(options.database ?? ":memory:");
  try {
    return await start(options, store);
  } catch (error) {
    store.close();
    throw error;
  }
}

async function start(options: PortalServerOptions, store: SqliteStore): Promise<PortalServer> {
  const wallClock = readWallClock();
  const directory = new Directory(store, systemRng);
  const issued = store.transaction(() => sow(directory, options.seed));
  for (const token of issued) if (token.writeTo !== undefined) await writeSecret(token.writeTo, token.secret);
  const portal = new Portal({
    directory,
    rng: systemRng,
    now: monotonicNow(),
    wallClock,
    ...(options.connectInterval === undefined ? {} : { connectInterval: options.connectInterval }),
    ...(options.log === undefined ? {} : { log: options.log }),
  });
  const driver = new Driver(portal, options.log ?? silentLog, options.onEvent);
  const server = options.tls === undefined ? http.createServer() : https.createServer({ ...options.tls });
  const context = { portal, rng: systemRng, wallClock };
  driver.attach(server, context);
  const stopped = Promise.withResolvers<void>();
  let stopping: Promise<void> | undefined;
  const stop = () =>
    stopping ??= (async () => {
      await driver.stop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        // Somebody's idle keep-alive connection is no reason to stay.
        server.closeAllConnections();
      });
      await admin?.stop();
      store.close();
      stopped.resolve();
    })();
  const admin = options.adminSocket === undefined
    ? undefined
    : await serveAdmin(options.adminSocket, context, () => driver.pump(), stop);
  const port = await listen(server, options.listen).catch(async (error) => {
    await admin?.stop();
    throw error;
  });
  const scheme = options.tls === undefined ? "ws" : "wss";
  const host = options.listen.host.includes(":") ? `[${options.listen.host}]` : options.listen.host;
  return {
    url: `${scheme}://${host}:${port}`,
    port,
    issued,
    portal,
    change(change) {
      const outcome = portal.change(change, monotonicNow());
      driver.pump();
      return outcome;
    },
    stop,
    stopped: stopped.promise,
  };
}

/** Feeds the machine with what sockets say, and sockets with what the machine wants. */
class Driver {
  readonly #portal: Portal;
  readonly #log: Log;
  readonly #onEvent: (event: PortalEvent) => void;
  readonly #alarm: Alarm;
  readonly #sockets = new Map<number, WebSocket>();
  readonly #upgrader = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    autoPong: false,
  });
  #connections = 0;
  #isStopped = false;

  constructor(portal: Portal, log: Log, onEvent: (event: PortalEvent) => void = () => {}) {
    this.#portal = portal;
    this.#log = log;
    this.#onEvent = onEvent;
    this.#alarm = new Alarm(() => {
      portal.handleTimeout(monotonicNow());
      this.pump();
    });
  }

  attach(server: http.Server | https.Server, context: WebContext): void {
    serveWeb(server, new PortalWeb(context), () => this.pump());
    server.on("upgrade", (request: http.IncomingMessage, socket: Socket, head: Uint8Array) => {
      this.#upgrade(request, socket, head);
    });
  }

  /** Carries out what the machine wants, and sets the alarm. */
  pump(): void {
    for (let it = this.#portal.pollAction(); it !== undefined; it = this.#portal.pollAction()) {
      const socket = this.#sockets.get(it.connection);
      if (socket === undefined) continue;
      if (it.action.type === "close") this.#close(socket, it.action.code);
      else if (socket.bufferedAmount > MAX_BUFFERED_BYTES) socket.terminate();
      else if (socket.readyState === socket.OPEN) socket.send(it.action.text);
    }
    for (let it = this.#portal.pollEvent(); it !== undefined; it = this.#portal.pollEvent()) {
      this.#onEvent(it);
    }
    this.#alarm.set(this.#isStopped ? undefined : this.#portal.pollTimeout());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#portal.shutdown();
    this.pump();
    const sockets = [...this.#sockets.values()];
    await Promise.all(
      sockets.map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()))),
    );
    this.#upgrader.close();
    this.#alarm.clear();
  }

  #upgrade(request: http.IncomingMessage, socket: Socket, head: Uint8Array): void {
    socket.on("error", () => socket.destroy());
    const connection = ++this.#connections;
    const refused = this.#portal.handleConnect(connection, describe(request, socket), monotonicNow());
    if (refused !== undefined) {
      this.#log.debug("Refused a connection", { status: refused.status });
      return answer(socket, refused);
    }
    // Also when the upgrade itself fails, or the peer leaves before the first frame.
    socket.once("close", () => {
      this.#sockets.delete(connection);
      this.#portal.handleClosed(connection, monotonicNow());
      this.pump();
    });
    this.#upgrader.handleUpgrade(
      request,
      socket,
      head as Parameters<WebSocketServer["handleUpgrade"]>[2],
      (peer) => {
        this.#sockets.set(connection, peer);
        peer.on("error", () => peer.terminate());
        // By hand, because the library queues answers for a peer that reads none of them.
        peer.on("ping", (data) => {
          if (peer.bufferedAmount > MAX_BUFFERED_BYTES) peer.terminate();
          else peer.pong(data);
        });
        peer.on("message", (data, isBinary) => {
          if (isBinary) return;
          this.#portal.handleText(connection, data.toString(), monotonicNow());
          this.pump();
        });
        this.pump();
      },
    );
  }

  #close(socket: WebSocket, code: number): void {
    socket.close(code);
    const timer = setTimeout(() => socket.terminate(), CLOSE_LIMIT_MS);
    socket.once("close", () => clearTimeout(timer));
  }
}

function describe(request: http.IncomingMessage, socket: Socket): UpgradeRequest {
  const [path = "", query = ""] = (request.url ?? "").split("?");
  return {
    path,
    query: Object.fromEntries(new URLSearchParams(query)),
    headers: headersOf(request),
    remoteIp: remoteAddress(socket.remoteAddress ?? ""),
  };
}

function answer(socket: Socket, { status, headers, body }: Refusal): void {
  const bytes = new TextEncoder().encode(body);
  const lines = Object.entries({
    ...headers,
    "content-length": String(bytes.length),
    "date": new Date().toUTCString(),
    "connection": "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? "Refused"}\r\n${lines.join("")}\r\n`);
  socket.end(bytes);
}

function listen(
  server: http.Server | https.Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new Fault("usage", `Cannot listen on ${host} port ${port}: ${cause.message}`, {
          cause,
          next: "Choose another address with --listen.",
        }),
      );
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function sow(directory: Directory, source: SeedInput | string | undefined): readonly IssuedToken[] {
  if (source === undefined) return [];
  const text = typeof source === "string" ? readSeedFile(source) : undefined;
  const seed = text !== undefined ? parseSeed(text) : readInput(Seed, source);
  const outcome = seed.ok ? applySeed(directory, seed.value, systemRng, Date.now() / 1000, isMissing) : seed;
  if (outcome.ok) return outcome.value.issued;
  const place = typeof source === "string" ? ` "${source}"` : "";
  const complaint = text === undefined ? outcome.reason : withLine(text, outcome.reason);
  throw new Fault("usage", `Cannot use seed${place}: ${complaint}`, {
    next: "docs/portal-seed.md lists the fields.",
  });
}

function readSeedFile(path: string): string {
  try {
    // A character takes three bytes at most that UTF-8 has for it and JavaScript counts as one.
    if (Deno.statSync(path).size > 3 * MAX_SEED_LENGTH) throw new Error("it is too long");
    return Deno.readTextFileSync(path);
  } catch (cause) {
    const isMissing = cause instanceof Deno.errors.NotFound;
    const reason = isMissing ? "there is no such file" : cause instanceof Error ? cause.message : cause;
    throw new Fault("usage", `Cannot read seed "${path}": ${reason}`, isMissing ? {} : { cause });
  }
}

function isMissing(path: string): boolean {
  try {
    return Deno.statSync(path).size === 0;
  } catch {
    return true;
  }
}

async function writeSecret(path: string, secret: string): Promise<void> {
  try {
    await Deno.mkdir(path.replace(/[^/\\]*$/, "") || ".", { recursive: true });
    await Deno.writeTextFile(path, secret, { mode: 0o600 });
    if (Deno.build.os !== "windows") await Deno.chmod(path, 0o600);
  } catch (cause) {
    throw new Fault(
      "usage",
      `Cannot write token to "${path}": ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

const MAX_FRAME_BYTES = 1024 * 1024;
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const CLOSE_LIMIT_MS = 2000;
