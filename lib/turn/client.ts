/**
 * The TURN client of one relay (RFC 8656): finds out which of our addresses the relay sees, holds one allocation there
 * for both families, and speaks to peers through channels only. Its owner passes it every datagram that comes from the
 * relay and drains it after each call.
 */

import { assert } from "../base/assert.ts";
import type { Datagram } from "../base/datagram.ts";
import type { Family, SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake } from "../base/time.ts";
import { Attribute, decodeStun, type StunMessage, TRANSACTION_ID_LENGTH } from "../wire/stun.ts";
import {
  channelOf,
  channelPayload,
  isChannelData,
  lifetimeSeconds,
  writeChannelHeader,
} from "../wire/turn.ts";
import type { AllocationEvent, AllocationInput, LossReason } from "./allocation_event.ts";
import { type AllocationState, refreshAt } from "./allocation_state.ts";
import { longTermKey, REALM } from "./auth.ts";
import { Channels } from "./channels.ts";
import { type Dialect, Exchange, type Outcome, smoothed } from "./exchange.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { Patience } from "./patience.ts";
import { PeerQueue } from "./peer_queue.ts";
import type { Request } from "./requests.ts";
import { PATIENT, SINGLE, SOUNDING } from "./transactions.ts";

/** A relay and our credentials there. At least one address. */
export interface Relay {
  readonly id: string;
  readonly v4?: SocketAddress | undefined;
  readonly v6?: SocketAddress | undefined;
  readonly username: string;
  readonly password: string;
}

/** What an allocation is made of. */
export interface AllocationOptions {
  readonly relay: Relay;
  readonly rng: Rng;
  readonly now: Instant;
  readonly log: Log;
  /** The realm the relay must name; "firezone" if absent. */
  readonly realm?: string;
  /** "firezone" if absent. */
  readonly dialect?: Dialect;
}

/** Where to send a ChannelData frame. The kernel chooses the source address. */
export interface RelayPath {
  readonly local: undefined;
  readonly remote: SocketAddress;
}

const KEEP_ALIVE_INTERVAL = seconds(25);
const MAX_BUFFERED_BINDS = 100;
/** More than there is to say between two calls. */
const MAX_EVENTS = 64;
/** However much it is wanted. */
const HURRIED_WAIT = seconds(3);

export class Allocation {
  readonly relay: Relay;
  readonly #exchange: Exchange;
  readonly #rng: Rng;
  readonly #log: Log;
  readonly #addresses: readonly SocketAddress[];
  readonly #channels = new Channels();
  readonly #events = new Ring<AllocationEvent>(MAX_EVENTS);
  readonly #own = new OwnAddresses();
  readonly #patience = new Patience();
  readonly #counters = new Map<string, number>();
  #state: AllocationState = { type: "probing" };
  /** The address of the relay that answered first: requests and data go there. */
  #active: RelayPath | undefined;
  #rttMs: number | undefined;
  #heardAt: Instant = -Infinity;
  readonly #buffered = new PeerQueue(MAX_BUFFERED_BINDS);

  /** Starts at once: there are datagrams to drain after the constructor. */
  constructor({ relay, rng, now, log, realm = REALM, dialect = "firezone" }: AllocationOptions) {
    this.relay = relay;
    const key = longTermKey(relay.username, realm, relay.password);
    this.#exchange = new Exchange({ username: relay.username, realm, key }, dialect, rng, now);
    this.#rng = rng;
    this.#log = log;
    this.#addresses = [relay.v4, relay.v6].filter((address) => address !== undefined);
    this.#probe(now);
  }

  get id(): string {
    return this.relay.id;
  }

  /** "allocated" is the only state in which data flows; "suspended" and "closed" are final. */
  get state(): AllocationState["type"] {
    return this.#state.type;
  }

  /** The smoothed round-trip time to the relay, or undefined if it is not known yet. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** When the relay last answered a request; -Infinity if it never did. */
  get heardAt(): Instant {
    return this.#heardAt;
  }

  /** Whether an attempt to reach the relay has ended, and it has not answered since. */
  get isSilent(): boolean {
    return this.#heardAt < (this.#patience.failingSince ?? -Infinity);
  }

  /** The relay's address in use, or undefined if none has answered. */
  get activeAddress(): SocketAddress | undefined {
    return this.#active?.remote;
  }

  /** How often what happened, by name: ignored answers, dropped data. */
  get counters(): ReadonlyMap<string, number> {
    return this.#counters;
  }

  /** Returns our address of `family` at the relay, or undefined if we have none. */
  relayedAddress(family: Family): SocketAddress | undefined {
    if (this.#state.type !== "allocated") return undefined;
    return family === 4 ? this.#state.v4 : this.#state.v6;
  }

  /** Returns our own address of `family` from which the relay was reached. */
  hostAddress(family: Family): SocketAddress | undefined {
    return this.#own.host(family);
  }

  /** Returns our address of `family` as the relay sees it; equal to the host address where there is no NAT. */
  mappedAddress(family: Family): SocketAddress | undefined {
    return this.#own.mapped(family);
  }

  /** Returns whether `remote` is an address of this relay, so that its datagrams belong here. */
  isFrom(remote: SocketAddress): boolean {
    return this.#addresses.some((address) => address.key === remote.key);
  }

  /** Returns what became of a datagram that came from `remote`, or undefined if it is not ours. */
  handleDatagram(
    local: SocketAddress,
    remote: SocketAddress,
    payload: Uint8Array,
    now: Instant,
  ): AllocationInput | undefined {
    if (!this.isFrom(remote)) return undefined;
    if (isChannelData(payload)) return this.#handleChannelData(remote, payload, now);
    const decoded = decodeStun(payload);
    if (!decoded.ok) return undefined;
    this.#handleResponse(decoded.value, local, remote, now);
    return HANDLED;
  }

  /** Makes sure that there is, or will soon be, a channel to `peer`. */
  bindChannel(peer: SocketAddress, now: Instant): void {
    if (this.#state.type !== "allocated") return this.#buffer(peer);
    if (this.relayedAddress(peer.family) === undefined) return;
    const channel = this.#channels.open(peer, now);
    if (channel !== undefined) this.#request({ type: "channel-bind", channel }, now);
  }

  /**
   * Writes the ChannelData header for `length` bytes to `peer` into the 4 bytes of `out` at `offset`; the data must
   * follow them directly. Returns where to send the frame, or undefined if it cannot go now: then a channel is asked
   * for, and the data is to be dropped.
   */
  wrapHeader(
    peer: SocketAddress,
    length: number,
    out: Uint8Array,
    offset: number,
    now: Instant,
  ): RelayPath | undefined {
    const channel = this.#channels.numberFor(peer, now);
    if (channel === undefined || this.#active === undefined) {
      this.bindChannel(peer, now);
      return undefined;
    }
    writeChannelHeader(out, offset, channel, length);
    this.#exchange.noteData(now);
    return this.#active;
  }

  /**
   * Finds out quickly whether the allocation still exists: for when the portal told us about the relay again. Without
   * an allocation it tries anew at once.
   */
  refresh(now: Instant): void {
    switch (this.#state.type) {
      case "allocated": {
        if (!this.#exchange.has("refresh")) this.#request({ type: "refresh" }, now, SINGLE);
        return;
      }
      case "waiting":
        return this.#probe(now);
      case "probing":
      case "allocating":
      case "suspended":
      case "closed":
        return;
    }
  }

  /** Asks whether the relay hears us: `heardAt` tells. The allocation stays, whatever comes of it. */
  sound(now: Instant): void {
    if (this.#active === undefined || this.#exchange.has("binding")) return;
    const id = this.#rng.bytes(TRANSACTION_ID_LENGTH);
    this.#exchange.start({ type: "binding", id, isSounding: true }, this.#active.remote, now, SOUNDING);
  }

  /** Somebody wants the relay: it is probed before its turn, but not at once after it was silent. */
  hurry(now: Instant): void {
    if (this.#state.type === "waiting" && now >= this.#state.since + HURRIED_WAIT) this.#probe(now);
  }

  /** Gives the allocation back, by one message that nobody waits for, and ends. */
  close(now: Instant): void {
    const allocated = this.#state.type === "allocated";
    this.#end("closed", now);
    if (allocated) this.#request({ type: "refresh", lifetime: 0 }, now);
    this.#exchange.clear();
    this.#buffered.takeAll();
    this.#state = { type: "closed" };
  }

  handleTimeout(now: Instant): void {
    for (let lost = this.#exchange.handleTimeout(now); lost; lost = this.#exchange.handleTimeout(now)) {
      this.#handleGivenUp(lost.request, lost.remote, now);
    }
    if (this.#state.type === "waiting" && now >= this.#state.probeAt) this.#probe(now);
    if (this.#state.type !== "allocated") return;
    if (
      now >= refreshAt(this.#state) && !this.#exchange.has("refresh")
    ) {
      this.#request({ type: "refresh" }, now);
    }
    for (const channel of this.#channels.takeRenewals(now)) {
      this.#request({ type: "channel-bind", channel }, now);
    }
    if (now >= this.#exchange.lastSentAt + KEEP_ALIVE_INTERVAL && this.#active !== undefined) {
      this.#bind(this.#active.remote, now);
    }
  }

  pollTimeout(): Wake | undefined {
    const state = this.#state;
    if (state.type === "waiting") return { at: state.probeAt, reason: "TURN probe" };
    const retransmission = this.#exchange.pollTimeout();
    if (state.type !== "allocated") return retransmission;
    // A refresh in flight is retransmitted by its own schedule.
    const refreshing = this.#exchange.has("refresh");
    return earliest(
      retransmission,
      refreshing ? undefined : { at: refreshAt(state), reason: "TURN refresh" },
      { at: this.#exchange.lastSentAt + KEEP_ALIVE_INTERVAL, reason: "TURN keep-alive" },
      this.#channels.pollTimeout(),
    );
  }

  pollDatagram(): Datagram | undefined {
    return this.#exchange.pollDatagram();
  }

  pollEvent(): AllocationEvent | undefined {
    return this.#events.shift();
  }

  #handleChannelData(remote: SocketAddress, frame: Uint8Array, now: Instant): AllocationInput {
    const payload = channelPayload(frame, "invalid");
    if (payload === undefined) return this.#ignore("channel data of wrong length");
    if (remote.key !== this.#active?.remote.key) return this.#ignore("channel data from inactive address");
    const peer = this.#channels.handleData(channelOf(frame), now);
    if (peer === undefined) return this.#ignore("channel data on unknown channel");
    const local = this.relayedAddress(peer.family);
    if (local === undefined) return this.#ignore("channel data without allocation");
    return { type: "data", local, peer, payload };
  }

  #handleResponse(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): void {
    const outcome = this.#exchange.handleResponse(message, remote, now);
    if (outcome.type !== "ignored") this.#heardAt = now;
    switch (outcome.type) {
      case "success":
        return this.#handleSuccess(outcome, local, remote, now);
      case "error":
        return this.#handleError(outcome.request, outcome.code, remote, now);
      case "rejected":
        return outcome.reason === "refused" ? this.#refuse(now) : this.#suspend(outcome.reason, now);
      case "ignored":
        return void this.#ignore(outcome.reason);
      case "challenged":
        return;
    }
  }

  #handleSuccess(
    { request, message, startedAt, rttMs }: Outcome & { type: "success" },
    local: SocketAddress,
    remote: SocketAddress,
    now: Instant,
  ): void {
    switch (request.type) {
      case "binding":
        if (rttMs !== undefined) this.#rttMs = smoothed(this.#rttMs, rttMs);
        return this.#handleBound(message, local, remote, now);
      case "allocate":
        return this.#handleAllocated(message, now);
      case "refresh":
        return this.#handleRefreshed(request.lifetime === 0 ? 0 : lifetimeSeconds(message), now);
      case "channel-bind":
        return this.#channels.handleBound(request.channel, startedAt);
    }
  }

  #handleBound(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): void {
    const mapped = message.mappedAddress;
    if (mapped === undefined) return void this.#ignore("BINDING without address");
    const before = this.#own.mapped(local.family);
    for (const event of this.#own.learn(local, mapped)) this.#events.push(event);
    if (this.#active !== undefined) {
      // Seen from another address, we are somebody else to the relay: the allocation is likely lost.
      if (before !== undefined && before.key !== mapped.key) this.refresh(now);
      return;
    }
    this.#active = {
      local: undefined,
      remote: this.#addresses.find(({ key }) => key === remote.key) ?? remote,
    };
    this.#log.debug("relay answers", { relay: this.id, address: remote });
    this.#allocate(now);
  }

  #handleAllocated(message: StunMessage, now: Instant): void {
    const lifetime = lifetimeSeconds(message);
    const relayed = message.xorAddresses(Attribute.XorRelayedAddress);
    const v4 = relayed.find(({ family }) => family === 4);
    const v6 = relayed.find(({ family }) => family === 6);
    if (lifetime === undefined || lifetime === 0 || (v4 ?? v6) === undefined) {
      return this.#suspend("protocol", now);
    }
    this.#patience.forgetFailures();
    this.#state = { type: "allocated", v4, v6, grantedAt: now, lifetime: seconds(lifetime) };
    for (const address of [v4, v6]) {
      if (address !== undefined) this.#events.push({ type: "relayed", address });
    }
    this.#log.debug("relay allocated", { relay: this.id, v4, v6, lifetimeSeconds: lifetime });
    for (const peer of this.#buffered.takeAll()) this.bindChannel(peer, now);
  }

  #handleRefreshed(lifetime: number | undefined, now: Instant): void {
    if (lifetime === undefined) return this.#suspend("protocol", now);
    if (lifetime === 0) {
      this.#end("mismatch", now);
      return this.#allocate(now);
    }
    if (this.#state.type !== "allocated") return;
    this.#state = { ...this.#state, grantedAt: now, lifetime: seconds(lifetime) };
  }

  #handleError(request: Request, code: number | undefined, remote: SocketAddress, now: Instant): void {
    this.#log.debug("relay refuses", { relay: this.id, request: request.type, code });
    if (request.type === "binding") return this.#handleGivenUp(request, remote, now);
    if (code === 420) return this.#suspend("protocol", now);
    switch (request.type) {
      case "allocate":
        if (code === 437) {
          return this.#detour(now, () => this.#request({ type: "refresh", lifetime: 0 }, now));
        }
        this.#buffered.takeAll();
        return this.#wait("refused", now);
      case "refresh":
        this.#end("mismatch", now);
        if (code === 437) return this.#detour(now, () => this.#allocate(now));
        return this.#wait("refused", now);
      case "channel-bind":
        if (code !== 437) return this.#channels.forget(request.channel);
        this.#end("mismatch", now);
        return this.#detour(now, () => this.#allocate(now));
    }
  }

  /** Does `step`, unless the relay has led us around too often. */
  #detour(now: Instant, step: () => void): void {
    if (this.#patience.bearsDetour(now)) step();
    else this.#refuse(now);
  }

  #refuse(now: Instant): void {
    this.#end("refused", now);
    this.#wait("refused", now);
  }

  #handleGivenUp(request: Request, remote: SocketAddress, now: Instant): void {
    if (request.type === "binding" && request.isSounding) return;
    if (this.#state.type === "allocated") {
      // The second family's first BINDING may still have been under way.
      if (request.type === "binding" && remote.key !== this.#active?.remote.key) return;
      this.#end("unreachable", now);
      // We may have moved, or one family may be cut off: any address of the relay that answers is welcome.
      return this.#probe(now);
    }
    if (request.type === "binding" && (this.#active !== undefined || this.#exchange.has())) return;
    this.#wait(this.#exchange.sawUnverifiable ? "credentials" : "unreachable", now);
  }

  #probe(now: Instant): void {
    this.#exchange.reset();
    this.#active = undefined;
    this.#state = { type: "probing" };
    for (const remote of this.#addresses) this.#bind(remote, now);
    if (this.#addresses.length === 0) this.#suspend("protocol", now);
  }

  #bind(remote: SocketAddress, now: Instant): void {
    this.#exchange.start({ type: "binding", id: this.#rng.bytes(TRANSACTION_ID_LENGTH) }, remote, now);
  }

  #allocate(now: Instant): void {
    this.#state = { type: "allocating" };
    this.#request({ type: "allocate" }, now);
  }

  /** Ends the allocation, if there is one; its channels are asked for again once there is a new one. */
  #end(reason: LossReason, now: Instant): void {
    const state = this.#state;
    for (const pending of this.#channels.clear(now)) this.#buffer(pending);
    this.#exchange.clear();
    if (state.type !== "allocated") return;
    const addresses = [state.v4, state.v6].filter((address) => address !== undefined);
    this.#events.push({ type: "lost", addresses, reason });
    this.#log.debug("relay allocation lost", { relay: this.id, reason });
    this.#state = { type: "allocating" };
  }

  #wait(reason: LossReason, now: Instant): void {
    this.#exchange.clear();
    this.#active = undefined;
    this.#state = { type: "waiting", since: now, probeAt: now + this.#patience.nextDelay(reason, now) };
    this.#events.push({ type: "failed", reason, suspended: false });
  }

  #suspend(reason: LossReason, now: Instant): void {
    this.#end(reason, now);
    this.#buffered.takeAll();
    this.#state = { type: "suspended" };
    this.#events.push({ type: "failed", reason, suspended: true });
    this.#log.warn("relay cannot be used", { relay: this.id, reason });
  }

  #buffer(peer: SocketAddress): void {
    if (this.#state.type === "suspended" || this.#state.type === "closed") return;
    this.#buffered.push(peer);
  }

  #request(request: Request, now: Instant, schedule = PATIENT): void {
    assert(this.#active !== undefined, "an authenticated request goes to a relay that has answered");
    this.#exchange.start(request, this.#active.remote, now, schedule);
  }

  #ignore(counter: string): AllocationInput {
    this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + 1);
    return HANDLED;
  }
}

const HANDLED: AllocationInput = { type: "handled" };
