/**
 * Keeps a peer connected to its portal: drives a `PortalChannel` over WebSockets of the library `ws`, which unlike the
 * standard `WebSocket` shows the status, headers and body of a refused upgrade. portal-protocol §1.
 * Measured with ws 8.23 under Deno 2.9: `createConnection` takes our own TCP or TLS socket, and "unexpected-response"
 * carries status, headers and body, so no work-around is needed.
 */

import type { Socket } from "node:net";
import tls from "node:tls";
import type { IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import type { IpAddress } from "../lib/base/ip.ts";
import { type Log, silentLog } from "../lib/base/log.ts";
import type { Duration } from "../lib/base/time.ts";
import {
  type ChannelEvent,
  type ChannelTopic,
  type ChannelTrouble,
  PortalChannel,
  type SocketEnd,
} from "../lib/channel/client.ts";
import { Alarm } from "./alarm.ts";
import { monotonicNow, readWallClock } from "./clock.ts";
import { type HostLookup, systemLookup } from "./host_lookup.ts";
import { portalUrl, portOf, userAgent } from "./portal_url.ts";
import { systemRng } from "./rng.ts";
import { connectFirst, describe } from "./tcp_race.ts";

/** Which portal to connect to, as whom, and who is told. */
export interface PortalConnectionOptions {
  readonly role: ChannelTopic;
  /** The portal's base URL, such as "wss://api.firezone.dev". */
  readonly url: string;
  readonly token: string;
  /** Query parameters (`external_id`, `name`, `public_key`, …), read anew at each dial. */
  readonly parameters: () => Readonly<Record<string, string | undefined>>;
  /** Called on every event of the channel. */
  readonly onEvent: (event: ChannelEvent) => void;
  /** null unless this is a relay. */
  readonly joinPayload?: unknown;
  /** Called before each dial with the addresses about to be tried, so that routes can keep them off the tunnel. */
  readonly onAddresses?: (addresses: readonly IpAddress[]) => void | Promise<void>;
  readonly lookup?: HostLookup;
  /** PEM certificates to trust instead of the built-in ones. */
  readonly trust?: readonly string[];
  readonly maxPartitionTime?: Duration;
  /** See `PortalChannelOptions`. */
  readonly isPatient?: boolean;
  readonly userAgent?: string;
  readonly log?: Log;
}

export class PortalConnection {
  readonly #options: PortalConnectionOptions;
  readonly #channel: PortalChannel;
  readonly #log: Log;
  readonly #alarm: Alarm;
  #line: Line | undefined;
  #closing = new Set<Line>();
  #pumping = false;

  /** Throws a `Fault` if the URL cannot be used. Nothing happens on the network before `start`. */
  constructor(options: PortalConnectionOptions) {
    portalUrl(options.url, options.role, {});
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#alarm = new Alarm(() => {
      this.#channel.handleTimeout(monotonicNow());
      this.#pump();
    });
    this.#channel = new PortalChannel({
      topic: options.role,
      joinPayload: options.joinPayload ?? null,
      now: monotonicNow(),
      rng: systemRng,
      wallClock: readWallClock(),
      log: this.#log,
      isPatient: options.isPatient ?? false,
      ...(options.maxPartitionTime === undefined ? {} : { maxPartitionTime: options.maxPartitionTime }),
    });
  }

  get isJoined(): boolean {
    return this.#channel.isJoined;
  }

  /** Why the last attempt to connect ended, and when the next begins; undefined while joined. */
  get trouble(): ChannelTrouble | undefined {
    return this.#channel.trouble;
  }

  /** Dials. */
  start(): void {
    this.#pump();
  }

  /** Sends a message if joined; else drops it and returns false. */
  send(event: string, payload: unknown): boolean {
    const sent = this.#channel.send(event, payload, monotonicNow());
    this.#pump();
    return sent;
  }

  /** Replaces the connection at once: after a change of the network or of the key. */
  redial(): void {
    this.#channel.redial(monotonicNow());
    this.#pump();
  }

  /** Closes politely; resolves when the sockets are gone. No more events after the call. */
  async stop(): Promise<void> {
    this.#channel.stop();
    this.#pump();
    this.#alarm.clear();
    await Promise.all([...this.#closing].map((line) => line.gone));
  }

  #pump(): void {
    // An event's handler may call back into this object.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const action = this.#channel.pollAction();
        if (action !== undefined) {
          if (action.type === "dial") this.#dial();
          else if (action.type === "send") this.#line?.send(action.text);
          else this.#hangUp(action.code);
          continue;
        }
        const event = this.#channel.pollEvent();
        if (event === undefined) break;
        this.#options.onEvent(event);
      }
    } finally {
      this.#pumping = false;
    }
    this.#alarm.set(this.#channel.pollTimeout());
  }

  #dial(): void {
    const line: Line = new Line({
      open: () => this.#line === line && this.#channel.handleOpen(monotonicNow()),
      text: (text) => this.#line === line && this.#channel.handleText(text, monotonicNow()),
      end: (end) => {
        this.#closing.delete(line);
        if (this.#line !== line) return;
        this.#line = undefined;
        this.#channel.handleClosed(end, monotonicNow());
      },
      after: () => this.#pump(),
    });
    this.#line = line;
    this.#log.debug("Dialling the portal", { url: this.#options.url });
    void line.dial(this.#options);
  }

  #hangUp(code: number): void {
    const line = this.#line;
    if (line === undefined) return;
    this.#line = undefined;
    this.#closing.add(line);
    line.close(code);
  }
}

interface LineHandlers {
  open(): void;
  text(text: string): void;
  /** Called exactly once. */
  end(end: SocketEnd): void;
  /** Called after each of the above. */
  after(): void;
}

/** One attempt to connect, and the socket that comes of it. */
class Line {
  readonly #handlers: LineHandlers;
  readonly #abort = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  #socket: WebSocket | undefined;
  #ended = false;

  constructor(handlers: LineHandlers) {
    this.#handlers = handlers;
  }

  /** Resolves when the socket is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  async dial(options: PortalConnectionOptions): Promise<void> {
    try {
      const url = portalUrl(options.url, options.role, options.parameters());
      const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
      const addresses = await (options.lookup ?? systemLookup)(host);
      await options.onAddresses?.(addresses);
      if (this.#ended) return;
      const tcp = await connectFirst(
        addresses.slice(0, MAX_ADDRESSES),
        portOf(url),
        TCP_LIMIT_MS,
        this.#abort.signal,
      );
      if (this.#ended) return void tcp.destroy();
      this.#upgrade(url, host, tcp, options);
    } catch (error) {
      this.#end({ type: "failed", reason: describe(error) });
    }
  }

  send(text: string): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    // A portal that does not read any more is lost; "close" follows.
    if (socket.bufferedAmount > MAX_BUFFERED_BYTES) socket.terminate();
    else socket.send(text);
  }

  close(code: number): void {
    const socket = this.#socket;
    this.#abort.abort();
    if (socket === undefined || socket.readyState === WebSocket.CONNECTING) {
      socket?.terminate();
      return this.#end({ type: "failed", reason: "given up" });
    }
    socket.close(code);
    const timer = setTimeout(() => socket.terminate(), CLOSE_LIMIT_MS);
    void this.gone.then(() => clearTimeout(timer));
  }

  #upgrade(url: URL, host: string, tcp: Socket, options: PortalConnectionOptions): void {
    const servername = /^[\d.]+$|:/.test(host) ? "" : host;
    const ca = options.trust === undefined ? {} : { ca: [...options.trust] };
    const socket = new WebSocket(url, {
      createConnection: () =>
        url.protocol === "wss:" ? tls.connect({ socket: tcp, host, servername, ...ca }) : tcp,
      headers: {
        // The portal's routers expect the bare host name.
        Host: url.hostname,
        "User-Agent": printableAscii(options.userAgent ?? userAgent(options.role)),
        "X-Authorization": `Bearer ${options.token.replace(/\s+/g, "")}`,
      },
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      followRedirects: false,
      autoPong: false,
    });
    this.#socket = socket;
    let isUp = false;
    socket.on("open", () => {
      isUp = true;
      this.#handlers.open();
      this.#handlers.after();
    });
    socket.on("ping", (data) => {
      if (socket.bufferedAmount > MAX_BUFFERED_BYTES) socket.terminate();
      else socket.pong(data);
    });
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (isBinary || this.#ended) return;
      this.#handlers.text(data.toString());
      this.#handlers.after();
    });
    socket.on("unexpected-response", (_request, response) => {
      void readRefusal(response).then((end) => {
        this.#end(end);
        socket.terminate();
        tcp.destroy();
      });
    });
    socket.on("error", (error) => {
      // After an established connection "close" follows and says more.
      if (isUp) return;
      this.#end({ type: "failed", reason: describe(error) });
      tcp.destroy();
    });
    socket.on("close", (code) => this.#end({ type: "closed", code }));
  }

  #end(end: SocketEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#gone.resolve();
    this.#handlers.end(end);
    this.#handlers.after();
  }
}

/** Returns what a refused upgrade said; the body is cut at a limit and after a moment of silence. */
async function readRefusal(response: IncomingMessage): Promise<SocketEnd> {
  const chunks: string[] = [];
  let length = 0;
  const { promise: complete, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, BODY_LIMIT_MS);
  response.setEncoding("utf8");
  response.on("data", (chunk: string) => {
    if (length < MAX_BODY_LENGTH) chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_BODY_LENGTH) resolve();
  });
  for (const event of ["end", "error", "close"]) response.on(event, () => resolve());
  await complete;
  clearTimeout(timer);
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    headers[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    type: "refused",
    status: response.statusCode ?? 0,
    headers,
    body: chunks.join("").slice(0, MAX_BODY_LENGTH),
  };
}

function printableAscii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "");
}

const TCP_LIMIT_MS = 5000;
const CLOSE_LIMIT_MS = 2000;
const BODY_LIMIT_MS = 2000;
const MAX_BODY_LENGTH = 64 * 1024;
const MAX_FRAME_BYTES = 32 * 1024 * 1024;
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;
const MAX_ADDRESSES = 16;
