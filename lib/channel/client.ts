/**
 * A peer's end of its portal channel: dials, joins one topic, beats, and comes back after every loss. Client, gateway
 * and relay each own one; `io/portal_connection.ts` drives it over a WebSocket.
 * Phoenix channels as the portal's peers speak them (portal-protocol §1.3 – §1.10).
 */

import { Fault } from "../base/fault.ts";
import { type Log, silentLog } from "../base/log.ts";
import { type Rng, unit } from "../base/rng.ts";
import {
  type Duration,
  earliest,
  type Instant,
  minutes,
  seconds,
  type Wake,
  type WallClock,
} from "../base/time.ts";
import {
  decodeFrame,
  decodeReply,
  encodeFrame,
  PhoenixEvent,
  type PhoenixFrame,
  SOCKET_TOPIC,
} from "../wire/phoenix.ts";
import { endCause, endFault, isTokenLost } from "./ending.ts";
import { decodeProblem, retryAfter } from "./problem.ts";

/** The role as which a peer joins. */
export type ChannelTopic = "client" | "gateway" | "relay";

/** What a channel joins, and how long it tries. */
export interface PortalChannelOptions {
  readonly topic: ChannelTopic;
  /** null for clients and gateways, `{ stamp_secret }` for relays. */
  readonly joinPayload: unknown;
  readonly now: Instant;
  readonly rng: Rng;
  /** How long a joined channel that broke may try to come back before it gives up. Undefined: for ever. */
  readonly maxPartitionTime?: Duration;
  /**
   * Also the first join is tried for ever, with growing delays. Otherwise it is tried each second, and given up when
   * it took 15 s, as upstream does.
   */
  readonly isPatient?: boolean;
  /** Lets a `Retry-After` date be understood when the answer has no `Date` header. */
  readonly wallClock?: WallClock;
  readonly log?: Log;
}

/** How a socket, or an attempt to open one, ended. */
export type SocketEnd =
  | { readonly type: "closed"; readonly code: number }
  | {
    /** The upgrade was answered with something else than 101. Header names are lower-case. */
    readonly type: "refused";
    readonly status: number;
    readonly headers: Readonly<Record<string, string | undefined>>;
    readonly body: string;
  }
  | { readonly type: "failed"; readonly reason: string };

/** What the driver has to do. After "close" it ignores that socket; after "dial" it opens a new one. */
export type ChannelAction =
  | { readonly type: "dial" }
  | { readonly type: "send"; readonly text: string }
  | { readonly type: "close"; readonly code: number };

/** What a channel tells its owner. */
export type ChannelEvent =
  | { readonly type: "joined" }
  | { readonly type: "message"; readonly event: string; readonly payload: unknown }
  | {
    /** Not connected; the channel will dial at `retryAt`. */
    readonly type: "hiccup";
    readonly wasJoined: boolean;
  } & ChannelTrouble
  | {
    /** The end: the channel does nothing more. */
    readonly type: "fatal";
    readonly fault: Fault;
    /** Whether the token is worthless, so that a kept copy should be thrown away. */
    readonly discardToken: boolean;
  };

/** Why a channel is not joined. */
export interface ChannelTrouble {
  readonly reason: string;
  /** HTTP status of a refused upgrade. */
  readonly status: number | undefined;
  /** When it dials again, or did if that attempt is still open. */
  readonly retryAt: Instant;
}

type State =
  | { readonly type: "waiting"; readonly until: Instant }
  | { readonly type: "dialing"; readonly since: Instant }
  | { readonly type: "joining"; readonly since: Instant; readonly joinRef: number }
  | { readonly type: "joined" }
  | { readonly type: "stopped" };

export class PortalChannel {
  readonly #topic: ChannelTopic;
  readonly #joinPayload: unknown;
  readonly #rng: Rng;
  readonly #log: Log;
  readonly #wallClock: WallClock | undefined;
  readonly #maxPartitionTime: Duration | undefined;
  readonly #isPatient: boolean;
  #trouble: ChannelTrouble | undefined;
  #state: State;
  #everJoined = false;
  /** Of the current outage: when its current attempt began, the time it cost so far, and the next delay. */
  #attemptSince: Instant;
  #spent: Duration = 0;
  #backoff: Duration = FIRST_DELAY;
  #ref = 0;
  #rejoins = 0;
  #beatAt: Instant = 0;
  readonly #unansweredBeats = new Set<number>();
  #actions: ChannelAction[] = [];
  #events: ChannelEvent[] = [];
  #droppedMessages = 0;
  #ignoredFrames = 0;

  constructor(options: PortalChannelOptions) {
    this.#topic = options.topic;
    this.#joinPayload = options.joinPayload;
    this.#rng = options.rng;
    this.#log = options.log ?? silentLog;
    this.#wallClock = options.wallClock;
    this.#maxPartitionTime = options.maxPartitionTime;
    this.#isPatient = options.isPatient ?? false;
    this.#attemptSince = options.now;
    this.#state = { type: "waiting", until: options.now };
    this.#dial(options.now);
  }

  get isJoined(): boolean {
    return this.#state.type === "joined";
  }

  /** Why the last attempt to connect ended; undefined while joined, and before the first ended. */
  get trouble(): ChannelTrouble | undefined {
    return this.#trouble;
  }

  /** How many messages were not sent because the channel was not joined. */
  get droppedMessages(): number {
    return this.#droppedMessages;
  }

  /** How many frames of the portal could not be used. */
  get ignoredFrames(): number {
    return this.#ignoredFrames;
  }

  /** The WebSocket is up. */
  handleOpen(now: Instant): void {
    if (this.#state.type !== "dialing") return;
    this.#ref = 0;
    this.#rejoins = 0;
    this.#unansweredBeats.clear();
    this.#beatAt = now;
    this.#join(now);
  }

  /** A text frame arrived. */
  handleText(text: string, now: Instant): void {
    if (this.#state.type !== "joining" && this.#state.type !== "joined") return;
    if (this.#events.length >= MAX_EVENTS) {
      return this.#lose("the portal says more than is heard", now, { close: true });
    }
    const frame = decodeFrame(text);
    if (!frame.ok) {
      this.#ignoredFrames++;
      this.#log.warn("Portal frame cannot be read", { reason: frame.reason, length: text.length });
      if (frame.reason === "truncated") this.#lose("the portal sent half a message", now, { close: true });
      return;
    }
    if (frame.value.topic === SOCKET_TOPIC) return this.#handleSocketFrame(frame.value);
    if (frame.value.topic !== this.#topic) return void this.#ignoredFrames++;
    this.#handleFrame(frame.value, now);
  }

  /** The socket, or the attempt to open one, is over. */
  handleClosed(end: SocketEnd, now: Instant): void {
    if (this.#state.type === "waiting" || this.#state.type === "stopped") return;
    switch (end.type) {
      case "closed":
        return this.#lose(`connection closed with code ${end.code}`, now);
      case "failed":
        return this.#lose(end.reason, now);
      case "refused":
        return this.#handleRefusal(end, now);
    }
  }

  /** Sends a message if the channel is joined and its driver follows; else drops and counts it, and returns false. */
  send(event: string, payload: unknown, _now: Instant): boolean {
    if (this.#state.type !== "joined" || this.#actions.length >= MAX_ACTIONS) {
      this.#droppedMessages++;
      return false;
    }
    this.#transmit(this.#topic, event, payload);
    return true;
  }

  /** Gives up the current connection and dials at once, with a fresh back-off: for a changed network. */
  redial(now: Instant): void {
    if (this.#state.type === "stopped") return;
    if (this.#state.type !== "waiting") this.#actions.push({ type: "close", code: NORMAL_CLOSURE });
    this.#resetBackoff();
    this.#dial(now);
  }

  /** Closes the connection politely and stays closed. */
  stop(): void {
    if (this.#state.type === "stopped") return;
    if (this.#state.type !== "waiting") this.#actions.push({ type: "close", code: NORMAL_CLOSURE });
    this.#state = { type: "stopped" };
  }

  pollAction(): ChannelAction | undefined {
    return this.#actions.shift();
  }

  pollEvent(): ChannelEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Wake | undefined {
    const state = this.#state;
    switch (state.type) {
      case "waiting":
        return { at: state.until, reason: "dial the portal" };
      case "dialing":
        return { at: state.since + DIAL_LIMIT, reason: "portal dial limit" };
      case "joining":
        return earliest({ at: state.since + JOIN_LIMIT, reason: "portal join limit" }, this.#nextBeat());
      case "joined":
        return this.#nextBeat();
      case "stopped":
        return undefined;
    }
  }

  handleTimeout(now: Instant): void {
    const state = this.#state;
    if (state.type === "waiting" && now >= state.until) return this.#dial(now);
    if (state.type === "dialing" && now >= state.since + DIAL_LIMIT) {
      return this.#lose("dialling timed out", now, { close: true });
    }
    if (state.type === "joining" && now >= state.since + JOIN_LIMIT) {
      return this.#lose("room join timed out", now, { close: true });
    }
    if ((state.type === "joining" || state.type === "joined") && now >= this.#nextBeat().at) this.#beat(now);
  }

  #dial(now: Instant): void {
    this.#state = { type: "dialing", since: now };
    this.#attemptSince = now;
    this.#actions.push({ type: "dial" });
  }

  #join(now: Instant): void {
    const joinRef = this.#transmit(this.#topic, PhoenixEvent.join, this.#joinPayload);
    this.#state = { type: "joining", since: now, joinRef };
  }

  #nextBeat(): Wake {
    return { at: this.#beatAt + HEARTBEAT_INTERVAL, reason: "portal heartbeat" };
  }

  #beat(now: Instant): void {
    this.#beatAt = now;
    this.#unansweredBeats.add(this.#transmit(SOCKET_TOPIC, PhoenixEvent.heartbeat, {}));
    if (this.#unansweredBeats.size > MAX_UNANSWERED_BEATS) {
      this.#lose("the portal stopped answering heartbeats", now, { close: true });
    }
  }

  #handleSocketFrame(frame: PhoenixFrame): void {
    if (frame.event === PhoenixEvent.reply && frame.ref !== undefined) {
      this.#unansweredBeats.delete(frame.ref);
    }
  }

  #handleFrame(frame: PhoenixFrame, now: Instant): void {
    switch (frame.event) {
      case PhoenixEvent.reply:
        return this.#handleReply(frame, now);
      case PhoenixEvent.close:
        return this.#lose("the portal closed the channel", now, { close: true });
      case PhoenixEvent.error:
        // The portal drains the socket of a crashed channel itself; the close that follows drives the reconnect.
        return this.#log.debug("Portal channel crashed");
      case PhoenixEvent.disconnect:
        return this.#handleDisconnect(frame.payload);
      default:
        if (this.#state.type !== "joined") return void this.#ignoredFrames++;
        this.#events.push({ type: "message", event: frame.event, payload: frame.payload });
    }
  }

  #handleReply(frame: PhoenixFrame, now: Instant): void {
    const reply = decodeReply(frame.payload);
    if (reply === undefined) return void this.#ignoredFrames++;
    const state = this.#state;
    const answersJoin = state.type === "joining" && frame.ref === state.joinRef;
    if (reply.status === "ok") {
      if (answersJoin) this.#handleJoined();
    } else if (reply.reason === "unmatched topic") {
      // The portal forgot our room, for instance because its process restarted behind a proxy.
      if (++this.#rejoins > MAX_REJOINS) {
        return this.#lose("the portal keeps forgetting the room", now, { close: true });
      }
      this.#join(now);
    } else if (answersJoin) {
      this.#end(
        new Fault("rejected", `Cannot join "${this.#topic}": the portal answered "${reply.reason}"`),
        false,
      );
    } else {
      this.#log.debug("Portal refused a message", { reason: reply.reason });
    }
  }

  #handleJoined(): void {
    this.#state = { type: "joined" };
    this.#everJoined = true;
    this.#trouble = undefined;
    this.#resetBackoff();
    this.#events.push({ type: "joined" });
  }

  #handleDisconnect(payload: unknown): void {
    const reason = typeof payload === "object" && payload !== null && "reason" in payload
      ? payload.reason
      : undefined;
    if (reason !== "token_expired") return void this.#ignoredFrames++;
    const cause = endCause((payload as { readonly cause?: unknown }).cause);
    this.#end(endFault(cause, this.#howToGetToken()), isTokenLost(cause));
  }

  #handleRefusal(end: Extract<SocketEnd, { type: "refused" }>, now: Instant): void {
    const problem = decodeProblem(end.headers["content-type"], end.body);
    if (end.status === 401) {
      const discardToken = problem?.code === "invalid_token" || problem?.code === "missing_token";
      const message = discardToken
        ? `The portal does not accept the token: ${problem.code}`
        : "The portal, or a proxy before it, refused access with HTTP status 401";
      if (discardToken && problem.cause === "expired") {
        const fault = new Fault("expired", "The portal does not accept the token: the token expired", {
          next: this.#howToGetToken(),
        });
        return this.#end(fault, true);
      }
      const next = discardToken
        ? this.#howToGetToken()
        : "Check the portal's URL and any HTTP proxy on the way.";
      return this.#end(new Fault("rejected", message, { next }), discardToken);
    }
    const code = problem?.code === undefined ? "" : ` (${problem.code})`;
    const delay = retryAfter(end.headers, this.#wallClock?.unixMs(now));
    this.#lose(`portal answered HTTP status ${end.status}${code}`, now, {
      retryAfter: delay,
      status: end.status,
    });
  }

  #lose(
    reason: string,
    now: Instant,
    options: { close?: boolean; retryAfter?: Duration | undefined; status?: number } = {},
  ): void {
    if (options.close === true) this.#closeSocket();
    const wasJoined = this.#state.type === "joined";
    // A joined connection's age is no part of the outage that starts with its end.
    const attempt = wasJoined ? 0 : now - this.#attemptSince;
    const delay = options.retryAfter ?? this.#nextDelay();
    if (options.retryAfter === undefined) {
      this.#spent += attempt + delay;
      const budget = this.#everJoined ? this.#maxPartitionTime : this.#isPatient ? undefined : INITIAL_BUDGET;
      if (budget !== undefined && this.#spent > budget) {
        return this.#end(
          new Fault("unreachable", `Cannot reach the portal: ${reason}`, {
            next: "Check the network and the portal's URL, then try again.",
          }),
          false,
        );
      }
    }
    this.#state = { type: "waiting", until: now + delay };
    this.#trouble = { reason, status: options.status, retryAt: now + delay };
    this.#events.push({ type: "hiccup", wasJoined, ...this.#trouble });
  }

  #nextDelay(): Duration {
    if (!this.#everJoined && !this.#isPatient) return INITIAL_DELAY;
    const base = this.#backoff;
    this.#backoff = Math.min(base * BACKOFF_FACTOR, MAX_DELAY);
    return base + base * unit(this.#rng);
  }

  #resetBackoff(): void {
    this.#backoff = FIRST_DELAY;
    this.#spent = 0;
  }

  #closeSocket(): void {
    this.#actions.push({ type: "close", code: NORMAL_CLOSURE });
  }

  #end(fault: Fault, discardToken: boolean): void {
    if (this.#state.type === "joining" || this.#state.type === "joined") this.#closeSocket();
    this.#state = { type: "stopped" };
    this.#events.push({ type: "fatal", fault, discardToken });
  }

  #howToGetToken(): string {
    return this.#topic === "client"
      ? "Sign in again with `fz sign-in`."
      : `Create a new ${this.#topic} token in the portal and start again with it.`;
  }

  /** Returns the ref of the frame. */
  #transmit(topic: string, event: string, payload: unknown): number {
    const ref = this.#ref++;
    this.#actions.push({ type: "send", text: encodeFrame({ topic, event, payload, ref }) });
    return ref;
  }
}

/** Of messages that the owner has not taken, and of frames that the driver has not. */
const MAX_EVENTS = 4096;
const MAX_ACTIONS = 4096;
const NORMAL_CLOSURE = 1000;
const DIAL_LIMIT = seconds(15);
const JOIN_LIMIT = seconds(5);
const HEARTBEAT_INTERVAL = seconds(10);
const MAX_UNANSWERED_BEATS = 3;
const MAX_REJOINS = 5;
/** How long the very first join may take, retries included. */
const INITIAL_BUDGET = seconds(15);
const INITIAL_DELAY = seconds(1);
const FIRST_DELAY = seconds(0.5);
const BACKOFF_FACTOR = 1.5;
const MAX_DELAY = minutes(1);
