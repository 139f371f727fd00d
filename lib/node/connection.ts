/**
 * The connection to one peer: an ICE agent that finds the path and a WireGuard tunnel that uses it. Driven by `Node`:
 * after each call that takes `now` it drains `pollEvent` and `pollTransmit`.
 *
 * The controlling side begins all handshakes that follow from paths; the other side only answers, apart from what
 * WireGuard's own timers do.
 */

import type { KeyPair } from "./key_pair.ts";
import { equalBytes } from "../base/bytes.ts";
import type { CryptoProvider } from "../base/crypto.ts";
import type { SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake, type WallClock } from "../base/time.ts";
import { IceAgent, type IceCredentials, type LocalCandidate } from "../ice/agent.ts";
import { type Candidate, formatCandidate } from "../ice/candidate.ts";
import type { IceProfile } from "../ice/profile.ts";
import type { Allocation } from "../turn/client.ts";
import type { StunMessage } from "../wire/stun.ts";
import { DATA_OVERHEAD } from "../wire/wireguard.ts";
import type { TimestampSource } from "../wireguard/tai64n.ts";
import { ICE_TIMERS } from "../wireguard/timers.ts";
import { Tunnel } from "../wireguard/tunnel.ts";
import { describePath, type Path, type PathInfo } from "./path.ts";
import { relayedCandidates, type Relays } from "./relays.ts";
import { PeerSilence } from "./peer_silence.ts";

/** What the portal tells both sides about their connection. */
export interface ConnectionParameters {
  /** 32 bytes each. */
  readonly remotePublicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly localIce: IceCredentials;
  readonly remoteIce: IceCredentials;
  readonly controlling: boolean;
}

/** What a connection needs of its node. */
export interface ConnectionContext {
  readonly keyPair: KeyPair;
  readonly profile: IceProfile;
  readonly relays: Relays;
  readonly timestamps: TimestampSource;
  readonly crypto: CryptoProvider;
  readonly rng: Rng;
  readonly wallClock: WallClock;
  readonly log: Log;
}

/** "connected" is used for packets, "idle" has not been for a while. */
export type ConnectionState = "connecting" | "connected" | "idle" | "failed";

/** Why a connection failed: no path was found or the last one died; or the peer answers no handshake. */
export type FailureReason = "no-path" | "no-handshake";

/** What a connection tells its node. */
export type ConnectionEvent =
  | { readonly type: "candidate"; readonly candidate: string }
  | { readonly type: "candidate-invalidated"; readonly candidate: string }
  /** There is a path and a session: packets can be sent. Once. */
  | { readonly type: "connected"; readonly path: PathInfo }
  | { readonly type: "path-changed"; readonly path: PathInfo }
  /** The connection is over. `isCutOff`: as far as we know nobody can be reached, so that it is not the peer's fault. */
  | { readonly type: "failed"; readonly reason: FailureReason; readonly isCutOff: boolean };

/** A message for `remote` from `local`, a socket's address or our address at a relay. */
export interface Transmit {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly payload: Uint8Array;
}

export class Connection {
  readonly peerId: string;
  /** 24 bits by which the peer's WireGuard messages and answers to our checks find this connection. */
  readonly index: number;
  readonly parameters: ConnectionParameters;
  readonly tunnel: Tunnel;
  /** The node's note that packets have flowed since it last asked when to wake this connection. */
  isTouched = false;
  readonly #agent: IceAgent;
  readonly #relays: Relays;
  readonly #log: Log;
  /** The only relay whose addresses we offer to this peer. */
  #relay: Allocation | undefined;
  /** What the peer offered: relays let in only what they were told of. */
  #offered = new Map<SocketAddress["key"], Candidate>();
  /** How many new ones it may offer as of `#offersSince`: each costs channels, which cannot be given back. */
  #offersLeft = MAX_OFFERS;
  #offersSince: Instant;
  /** WireGuard messages that wait for a path. */
  readonly #pending = new Ring<Uint8Array>(MAX_PENDING_MESSAGES);
  /** Packets that came when the session was too old to send on. */
  readonly #unsent = new Ring<Uint8Array>(MAX_UNSENT_PACKETS);
  readonly #events = new Ring<ConnectionEvent>(MAX_EVENTS);
  #path: Path | undefined;
  #pathInfo: PathInfo | undefined;
  #hasSession = false;
  #isReported = false;
  #isFailed = false;
  #isIdle = false;
  readonly #silence: PeerSilence;
  #lastPacketAt: Instant;
  #lastProactiveHandshakeAt: Instant | undefined;
  /** When the handshake of ours in progress began, and how often it was repeated ahead of WireGuard's schedule. */
  #handshakeSince: Instant | undefined;
  #repetitions = 0;

  constructor(
    peerId: string,
    index: number,
    parameters: ConnectionParameters,
    context: ConnectionContext,
    now: Instant,
  ) {
    this.peerId = peerId;
    this.index = index;
    this.parameters = parameters;
    this.#relays = context.relays;
    this.#log = context.log;
    this.#silence = new PeerSilence(now);
    this.#lastPacketAt = now;
    this.#offersSince = now;
    this.#agent = new IceAgent({
      controlling: parameters.controlling,
      localCredentials: parameters.localIce,
      remoteCredentials: parameters.remoteIce,
      profile: context.profile,
      transactionTag: index,
      rng: context.rng,
      now,
      log: context.log.part("ice"),
    });
    this.tunnel = new Tunnel({
      staticPrivateKey: context.keyPair.privateKey,
      staticPublicKey: context.keyPair.publicKey,
      remotePublicKey: parameters.remotePublicKey,
      presharedKey: parameters.presharedKey,
      index24: index,
      crypto: context.crypto,
      rng: context.rng,
      now,
      wallClock: context.wallClock,
      timestamps: context.timestamps,
      timers: ICE_TIMERS,
      log: context.log.part("wireguard"),
    });
    for (const candidate of context.relays.ownCandidates()) this.#agent.addLocalCandidate(candidate, now);
    this.#relay = context.relays.select();
    this.#addRelayedCandidates(now);
    this.#signalAll();
  }

  get state(): ConnectionState {
    if (this.#isFailed) return "failed";
    if (!this.#isReported) return "connecting";
    return this.#isIdle ? "idle" : "connected";
  }

  /** Where messages go, or undefined as long as there is no path. */
  get path(): Path | undefined {
    return this.#path;
  }

  /** The path with its present round trip. */
  get pathInfo(): PathInfo | undefined {
    const selected = this.#agent.selected;
    return selected && describePath(selected, this.#path?.relay);
  }

  /** The part before and after the colon of a request's USERNAME. */
  get username(): string {
    return `${this.parameters.localIce.username}:${this.parameters.remoteIce.username}`;
  }

  /** Returns whether `parameters` describe this very connection. */
  matches(parameters: ConnectionParameters): boolean {
    const own = this.parameters;
    return own.controlling === parameters.controlling &&
      equalBytes(own.remotePublicKey, parameters.remotePublicKey) &&
      equalBytes(own.presharedKey, parameters.presharedKey) &&
      isSameCredentials(own.localIce, parameters.localIce) &&
      isSameCredentials(own.remoteIce, parameters.remoteIce);
  }

  /**
   * Notes that the portal authorized the same connection again: the peer may have lost it. It hears all our candidates
   * anew, and the controlling side tries whether it still answers.
   */
  renew(now: Instant): void {
    this.#wakeUp(now);
    this.#signalAll();
    if (this.#path !== undefined) this.#handshake(now);
    this.#update(now);
  }

  /** Offers an address of ours to the peer. */
  addLocalCandidate(candidate: LocalCandidate, now: Instant): void {
    const added = this.#agent.addLocalCandidate(candidate, now);
    if (added !== undefined) this.#signal(added);
    this.#wakeUp(now);
    this.#update(now);
  }

  /** Takes a candidate of the peer. Returns whether it was of use. */
  addRemoteCandidate(candidate: Candidate, now: Instant): boolean {
    if (!this.#offered.has(candidate.address.key) && !this.#mayOffer(now)) return false;
    if (!this.#agent.addRemoteCandidate(candidate, now)) return false;
    this.#offered.set(candidate.address.key, candidate);
    this.#bindChannel(candidate, now);
    this.#wakeUp(now);
    this.#update(now);
    return true;
  }

  removeRemoteCandidate(candidate: Candidate, now: Instant): void {
    this.#offered.delete(candidate.address.key);
    this.#agent.invalidateRemoteCandidate(candidate, now);
    this.#wakeUp(now);
    this.#update(now);
  }

  /** Takes the addresses that we have at `relay` now, if this connection uses it or has none. */
  handleAllocated(relay: Allocation, now: Instant): void {
    this.#relay ??= relay;
    if (this.#relay !== relay) return;
    for (const added of this.#addRelayedCandidates(now)) this.#signal(added);
    this.#update(now);
  }

  /** Withdraws addresses that are ours no more, and turns to another relay. */
  handleLost(relay: Allocation, addresses: readonly SocketAddress[], now: Instant): void {
    if (relay !== this.#relay) return;
    for (const address of addresses) {
      const gone = this.#agent.invalidateLocalCandidate("relayed", address, now);
      if (gone !== undefined) {
        this.#events.push({ type: "candidate-invalidated", candidate: formatCandidate(gone) });
      }
    }
    this.#relay = this.#relays.select();
    for (const added of this.#addRelayedCandidates(now)) this.#signal(added);
    this.#wakeUp(now);
    this.#update(now);
  }

  /** Returns whether `message` came from this peer. */
  handleStun(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): boolean {
    const isOurs = this.#agent.handleStun(message, local, remote, now);
    if (!isOurs) return false;
    this.#silence.handlePeer(now);
    this.#update(now);
    return true;
  }

  /** To be called after `tunnel` has taken a handshake message, or may have switched sessions or begun a handshake. */
  afterTunnelInput(now: Instant): void {
    this.#update(now);
  }

  /** Notes that a packet was sent or received. Returns whether that ended a pause. */
  notePacket(now: Instant): boolean {
    this.#lastPacketAt = now;
    if (!this.#isIdle) return false;
    this.#wakeUp(now);
    this.#update(now);
    return true;
  }

  /**
   * Keeps a packet that there is no session for. An initiator does not send on a session of its last ten seconds: after
   * a pause the first packet would be lost, which costs a new TCP connection a second. Returns whether it is kept.
   */
  keepPacket(packet: Uint8Array): boolean {
    if (this.#isReported) this.#unsent.push(packet.slice());
    return this.#isReported;
  }

  handleTimeout(now: Instant): void {
    this.tunnel.handleTimeout(now);
    if (this.tunnel.isHandshakeInProgress && now >= this.#repeatsHandshakeAt) {
      this.#repetitions++;
      this.tunnel.repeatHandshake(now);
    }
    if (this.#isReported && !this.#isIdle && now >= this.#lastPacketAt + IDLE_AFTER) {
      this.#isIdle = true;
      this.#agent.setIdle(true, now);
    }
    this.#listen(now);
    this.#agent.handleTimeout(now);
    this.#update(now);
  }

  pollTimeout(): Wake | undefined {
    if (this.#isFailed) return undefined;
    const idle = this.#isReported && !this.#isIdle
      ? { at: this.#lastPacketAt + IDLE_AFTER, reason: "connection idle" }
      : undefined;
    const at = this.#repeatsHandshakeAt;
    const repetition = at < Infinity ? { at, reason: "handshake repetition" } : undefined;
    return earliest(this.#agent.pollTimeout(), this.tunnel.pollTimeout(), idle, repetition);
  }

  pollEvent(): ConnectionEvent | undefined {
    return this.#events.shift();
  }

  pollTransmit(): Transmit | undefined {
    const check = this.#agent.pollTransmit();
    if (check !== undefined || this.#path === undefined) return check;
    const payload = this.#pending.shift();
    return payload && { local: this.#path.local, remote: this.#path.remote, payload };
  }

  /** Wipes all keys. */
  close(): void {
    this.#isFailed = true;
    this.tunnel.close();
  }

  /** Brings everything that follows from agent and tunnel up to date. */
  #update(now: Instant): void {
    if (this.#isFailed) return;
    this.#updatePath(now);
    if (!this.tunnel.isHandshakeInProgress) {
      this.#handshakeSince = undefined;
      this.#repetitions = 0;
    } else {
      this.#handshakeSince ??= now;
    }
    for (let event = this.tunnel.pollEvent(); event !== undefined; event = this.tunnel.pollEvent()) {
      switch (event.type) {
        case "session-established":
          this.#hasSession = true;
          this.#sendKept(now);
          break;
        case "expired":
          return this.#fail("no-handshake", now);
      }
    }
    for (let next = this.tunnel.pollTransmit(); next !== undefined; next = this.tunnel.pollTransmit()) {
      this.#pending.push(next);
    }
    if (this.#agent.state === "failed") return this.#fail("no-path", now);
    if (!this.#isReported && this.#hasSession && this.#pathInfo !== undefined) {
      this.#isReported = true;
      this.#lastPacketAt = now;
      this.#events.push({ type: "connected", path: this.#pathInfo });
    }
  }

  #sendKept(now: Instant): void {
    for (const packet of this.#unsent.takeAll()) {
      const message = new Uint8Array(packet.length + DATA_OVERHEAD);
      if (this.tunnel.encapsulate(packet, message, now) > 0) this.#pending.push(message);
    }
  }

  #updatePath(now: Instant): void {
    const selected = this.#agent.selected;
    if (selected === undefined) {
      this.#path = undefined;
      this.#pathInfo = undefined;
      return;
    }
    const relay = selected.local.kind === "relayed" ? this.#relays.ownerOf(selected.local.base) : undefined;
    const info = describePath(selected, relay);
    const isSameWay = this.#path !== undefined && this.#path.relay === relay &&
      info.local.equals(this.#path.local) && info.remote.equals(this.#path.remote);
    const isSame = isSameWay && this.#pathInfo?.localKind === info.localKind &&
      this.#pathInfo.remoteKind === info.remoteKind;
    if (isSame) return;
    this.#pathInfo = info;
    if (!isSameWay) {
      this.#path = { local: info.local, remote: info.remote, relay };
      this.#handshake(now);
    }
    if (this.#isReported) this.#events.push({ type: "path-changed", path: info });
  }

  /** Lets the peer know that we use a path, and finds out whether it answers on it. Controlling side only. */
  #handshake(now: Instant): void {
    if (!this.parameters.controlling || this.tunnel.isHandshakeInProgress) return;
    const last = this.#lastProactiveHandshakeAt;
    if (last !== undefined && now < last + PROACTIVE_HANDSHAKE_INTERVAL) return;
    this.#lastProactiveHandshakeAt = now;
    this.tunnel.startHandshake(now);
  }

  /**
   * When an initiation is to be sent once more. The path is known to work: WireGuard's own patience of five seconds is
   * made for peers that may not be there at all, and on a lossy line a few tries more keep the connection.
   */
  get #repeatsHandshakeAt(): Instant {
    const delay = REPETITIONS[this.#repetitions];
    if (this.#handshakeSince === undefined || delay === undefined || this.#path === undefined) {
      return Infinity;
    }
    return this.#handshakeSince + delay;
  }

  #wakeUp(now: Instant): void {
    this.#lastPacketAt = now;
    if (!this.#isIdle) return;
    this.#isIdle = false;
    this.#agent.setIdle(false, now);
  }

  /** Finds out whether others can be reached while the peer is silent. Controlling side only: the other has many peers. */
  #listen(now: Instant): void {
    if (!this.parameters.controlling) return;
    if (!this.#silence.isSuspicious(this.#isIdle ? IDLE_CHECKS : 0, this.#handshakeSince, now)) return;
    this.#silence.handleOthers(this.#relays.heardAt);
    this.#relays.sound(now);
  }

  #fail(reason: FailureReason, now: Instant): void {
    this.#isFailed = true;
    this.#path = undefined;
    this.#log.debug("Connection failed", { peer: this.peerId, reason });
    // What never was a connection proves nothing of our network.
    const isCutOff = this.#isReported && this.#silence.isGeneral(now);
    this.#events.push({ type: "failed", reason, isCutOff });
  }

  #mayOffer(now: Instant): boolean {
    const earned = Math.floor((now - this.#offersSince) / OFFER_INTERVAL);
    if (earned > 0) {
      this.#offersLeft = Math.min(this.#offersLeft + earned, MAX_OFFERS);
      this.#offersSince += earned * OFFER_INTERVAL;
    }
    if (this.#offersLeft === 0) return false;
    this.#offersLeft--;
    return true;
  }

  #addRelayedCandidates(now: Instant): Candidate[] {
    const relay = this.#relay;
    if (relay === undefined) return [];
    for (const candidate of this.#offered.values()) this.#bindChannel(candidate, now);
    return relayedCandidates(relay).flatMap((candidate) =>
      this.#agent.addLocalCandidate(candidate, now) ?? []
    );
  }

  /** Host addresses of the peer are hardly reachable from a relay; a channel to one is bound when a check asks for it. */
  #bindChannel(candidate: Candidate, now: Instant): void {
    if (candidate.kind !== "host") this.#relay?.bindChannel(candidate.address, now);
  }

  #signalAll(): void {
    for (const candidate of this.#agent.localCandidates) this.#signal(candidate);
  }

  #signal(candidate: Candidate): void {
    this.#events.push({ type: "candidate", candidate: formatCandidate(candidate) });
  }
}

/** Without a packet for this long, checks become rare. */
const IDLE_AFTER = seconds(20);
/** How far apart they are then. */
const IDLE_CHECKS = seconds(25);
const PROACTIVE_HANDSHAKE_INTERVAL = seconds(20);
/** After the first initiation of a handshake; then WireGuard's own schedule goes on. */
const REPETITIONS = [500, 1500, 3500];
/** More than an honest peer has addresses. */
const MAX_OFFERS = 100;
const OFFER_INTERVAL = seconds(10);
const MAX_PENDING_MESSAGES = 128;
/** What a few connections send until they hear something; the handshake takes a round trip. */
const MAX_UNSENT_PACKETS = 32;
const MAX_EVENTS = 256;

function isSameCredentials(a: IceCredentials, b: IceCredentials): boolean {
  return a.username === b.username && a.password === b.password;
}
