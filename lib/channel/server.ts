/**
 * The portal's end of one socket: answers heartbeats and joins, numbers nothing, and watches for silence. The portal
 * (`lib/portal/portal.ts`) owns one for each connection. portal-protocol §1.3 – §1.7.
 */

import type { EndCause } from "./ending.ts";
import { type Duration, type Instant, seconds, type Wake } from "../base/time.ts";
import {
  decodeFrame,
  encodeFrame,
  encodeReply,
  PhoenixEvent,
  type PhoenixReply,
  SOCKET_TOPIC,
} from "../wire/phoenix.ts";

/** What a peer did. A `join` waits for `accept` or `refuse`. */
export type ServerChannelEvent =
  | { readonly type: "join"; readonly payload: unknown }
  | {
    readonly type: "message";
    readonly event: string;
    readonly payload: unknown;
    readonly ref: number | undefined;
  }
  | { readonly type: "leave" };

/** What the driver has to do with the socket. */
export type ServerChannelAction =
  | { readonly type: "send"; readonly text: string }
  | { readonly type: "close"; readonly code: number };

/** How much a peer may say: characters, of frames of at least `SHORTEST_FRAME`. */
export interface Allowance {
  readonly burst: number;
  readonly perSecond: number;
}

export class ServerChannel {
  readonly #topic: string;
  readonly #idleLimit: Duration;
  #heardAt: Instant;
  /** Since when the peer could have joined. */
  #openSince: Instant;
  #state: "open" | "joining" | "joined" | "closed" = "open";
  #joinRef: number | undefined;
  #actions: ServerChannelAction[] = [];
  #events: ServerChannelEvent[] = [];
  #ignoredFrames = 0;
  readonly #allowance: Allowance | undefined;
  /** What is left of it, as of when the peer was last heard. */
  #credit: number;

  /** A peer without an `allowance` may say as much as it likes. */
  constructor(
    options: {
      readonly topic: string;
      readonly now: Instant;
      readonly idleLimit?: Duration;
      readonly allowance?: Allowance | undefined;
    },
  ) {
    this.#topic = options.topic;
    this.#heardAt = options.now;
    this.#openSince = options.now;
    this.#allowance = options.allowance;
    this.#credit = options.allowance?.burst ?? Infinity;
    this.#idleLimit = options.idleLimit ?? DEFAULT_IDLE_LIMIT;
  }

  get isJoined(): boolean {
    return this.#state === "joined";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** How many frames could not be used. */
  get ignoredFrames(): number {
    return this.#ignoredFrames;
  }

  /** A text frame arrived. */
  handleText(text: string, now: Instant): void {
    if (this.#state === "closed") return;
    this.#spend(text.length, now);
    this.#heardAt = now;
    if (this.#credit < 0 || this.#events.length >= MAX_QUEUED || this.#actions.length >= MAX_QUEUED) {
      return this.close(OVERLOAD_CLOSE_CODE);
    }
    const frame = decodeFrame(text);
    if (!frame.ok) return void this.#ignoredFrames++;
    const { topic, event, payload, ref } = frame.value;
    if (topic === SOCKET_TOPIC) {
      if (event === PhoenixEvent.heartbeat) this.#reply(SOCKET_TOPIC, ref, { status: "ok", response: {} });
    } else if (topic !== this.#topic) {
      this.#reply(topic, ref, { status: "error", reason: "unmatched topic" });
    } else if (event === PhoenixEvent.join) {
      this.#handleJoin(payload, ref);
    } else if (this.#state !== "joined") {
      this.#reply(topic, ref, { status: "error", reason: "unmatched topic" });
    } else if (event === PhoenixEvent.leave) {
      this.#reply(topic, ref, { status: "ok", response: {} });
      this.#state = "open";
      this.#openSince = now;
      this.#events.push({ type: "leave" });
    } else {
      this.#events.push({ type: "message", event, payload, ref });
    }
  }

  /** Answers the pending join: the peer is in. */
  accept(): void {
    if (this.#state !== "joining") return;
    this.#state = "joined";
    this.#reply(this.#topic, this.#joinRef, { status: "ok", response: {} });
  }

  /** Answers the pending join with an error, which peers take as final. */
  refuse(reason: string): void {
    if (this.#state !== "joining") return;
    this.#state = "open";
    this.#reply(this.#topic, this.#joinRef, { status: "error", reason });
  }

  /** Pushes a message; nothing happens unless the peer has joined. */
  push(event: string, payload: unknown): void {
    if (this.#state === "joined") this.#transmit(this.#topic, event, payload, undefined);
  }

  /** Answers the message that carried `ref`. */
  reply(ref: number | undefined, reply: PhoenixReply): void {
    if (this.#state === "joined") this.#reply(this.#topic, ref, reply);
  }

  /** Tells the peer that its session is over, and closes. Peers take it as final. */
  disconnect(cause: EndCause): void {
    if (this.#state === "closed") return;
    this.#transmit(this.#topic, PhoenixEvent.disconnect, { reason: "token_expired", cause }, undefined);
    this.close(1000);
  }

  /** Stops the channel (the peer reconnects) and closes. */
  stop(): void {
    if (this.#state === "closed") return;
    this.#transmit(this.#topic, PhoenixEvent.close, {}, undefined);
    this.close(1000);
  }

  /** Closes the socket with `code`. */
  close(code: number): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#actions.push({ type: "close", code });
  }

  pollAction(): ServerChannelAction | undefined {
    return this.#actions.shift();
  }

  pollEvent(): ServerChannelEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    return this.#state === "closed" ? undefined : { at: this.#deadline, reason: "peer is silent" };
  }

  handleTimeout(now: Instant): void {
    if (now >= this.#deadline) this.close(IDLE_CLOSE_CODE);
  }

  /** Heartbeats keep a peer that has joined; a socket without a purpose ends in spite of them. */
  get #deadline(): Instant {
    return (this.#state === "open" ? this.#openSince : this.#heardAt) + this.#idleLimit;
  }

  #spend(length: number, now: Instant): void {
    if (this.#allowance === undefined) return;
    const { burst, perSecond } = this.#allowance;
    const earned = Math.max(now - this.#heardAt, 0) * perSecond / 1000;
    this.#credit = Math.min(this.#credit + earned, burst) - Math.max(length, SHORTEST_FRAME);
  }

  #handleJoin(payload: unknown, ref: number | undefined): void {
    // A second join on one socket is answered but changes nothing: closing the first would look like a lost connection.
    if (this.#state === "joined") return this.#reply(this.#topic, ref, { status: "ok", response: {} });
    if (this.#state === "joining") return;
    this.#state = "joining";
    this.#joinRef = ref;
    this.#events.push({ type: "join", payload });
  }

  #reply(topic: string, ref: number | undefined, reply: PhoenixReply): void {
    // Peers discard a reply without a ref.
    if (ref !== undefined) this.#transmit(topic, PhoenixEvent.reply, encodeReply(reply), ref);
  }

  #transmit(topic: string, event: string, payload: unknown, ref: number | undefined): void {
    this.#actions.push({ type: "send", text: encodeFrame({ topic, event, payload, ref }) });
  }
}

// Peers of the seed beat 30 s after their last message; older ones are told apart by nothing. §1.6, §11 trap 16.
const DEFAULT_IDLE_LIMIT = seconds(41);
const IDLE_CLOSE_CODE = 1002;
/** What a frame costs at least: each makes work, however short it is. */
const SHORTEST_FRAME = 1024;
/** "Try again later" of the IANA registry of WebSocket close codes. */
const OVERLOAD_CLOSE_CODE = 1013;
/** More than a portal has to tell a peer at once. */
const MAX_QUEUED = 65_536;
