/**
 * An ICE agent (RFC 8445, trickle RFC 8838) for one component over UDP with one peer: roles are fixed, credentials
 * come from outside, the controlling side nominates continuously the best pair that works.
 *
 * Driven by its owner: after every `handle*`, `add*` and `invalidate*` call, drain `pollTransmit`, look at `selected`
 * and `state`, and call `handleTimeout` at `pollTimeout`. The agent also keeps the time limits on being without a
 * path: when `state` is "failed" the owner drops the agent.
 */

import { utf8 } from "../base/bytes.ts";
import type { AddressKey, Family, SocketAddress } from "../base/ip.ts";
import type { Log } from "../base/log.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { earliest, type Instant, seconds, type Wake } from "../base/time.ts";
import { Attribute, Method, type StunMessage, StunWriter } from "../wire/stun.ts";
import { type Candidate, type CandidateKind, foundationOf, isUsableAddress } from "./candidate.ts";
import { CheckList } from "./check_list.ts";
import { optimisticAddresses } from "./optimistic.ts";
import { CandidatePair } from "./pair.ts";
import { candidatePriority, checkPriority, localPreference, pairPriority } from "./priority.ts";
import type { CheckSchedule, IceProfile } from "./profile.ts";

/** What one side signs its peer's checks with (RFC 8445 §5.3). */
export interface IceCredentials {
  readonly username: string;
  readonly password: string;
}

/** What an agent is made of. */
export interface IceAgentOptions {
  readonly controlling: boolean;
  readonly localCredentials: IceCredentials;
  readonly remoteCredentials: IceCredentials;
  readonly profile: IceProfile;
  /** 24 bits that begin each transaction id, so that the owner of many agents finds the one an answer is for. */
  readonly transactionTag: number;
  readonly rng: Rng;
  readonly now: Instant;
  readonly log: Log;
}

/** What the owner knows of a local candidate; the agent adds priority and foundation. */
export interface LocalCandidate {
  readonly kind: Exclude<CandidateKind, "peerReflexive">;
  readonly address: SocketAddress;
  /** For host and relayed candidates equal to `address`. */
  readonly base: SocketAddress;
  /** For relayed candidates the family of the socket to the relay. */
  readonly viaFamily?: Family;
}

/** A message to send from `local`: the base of a host candidate, or a relayed address. */
export interface IceTransmit {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly payload: Uint8Array;
}

/** The pair to send data on. */
export interface SelectedPair {
  readonly local: Candidate;
  readonly remote: Candidate;
  /** The kind of our address as the peer sees it. */
  readonly localKind: CandidateKind;
  readonly rttMs: number | undefined;
}

/** "disconnected": no pair works nor is being tried. "failed": that, or no candidate of the peer, for too long. */
export type IceState = "new" | "checking" | "connected" | "disconnected" | "failed";

export class IceAgent {
  readonly localCredentials: IceCredentials;
  readonly remoteCredentials: IceCredentials;
  readonly controlling: boolean;
  readonly #options: IceAgentOptions;
  readonly #localKey: Uint8Array;
  readonly #remoteKey: Uint8Array;
  readonly #tieBreaker: Uint8Array;
  readonly #log: Log;

  #locals: Candidate[] = [];
  #remotes: Candidate[] = [];
  readonly #invalidatedRemotes = new Set<AddressKey>();
  readonly #pairs = new CheckList();
  #selected: CandidatePair | undefined;
  #isIdle = false;
  /** Since when no pair is tried or works; undefined while one is. */
  #pathlessSince: Instant | undefined;
  #hadPair = false;
  #isFailed = false;
  #ignored = 0;
  readonly #transmits = new Ring<IceTransmit>(MAX_TRANSMITS);
  #wake: Wake | undefined;
  #isWakeStale = true;

  constructor(options: IceAgentOptions) {
    this.#options = options;
    this.controlling = options.controlling;
    this.localCredentials = options.localCredentials;
    this.remoteCredentials = options.remoteCredentials;
    this.#localKey = utf8(options.localCredentials.password);
    this.#remoteKey = utf8(options.remoteCredentials.password);
    this.#tieBreaker = options.rng.bytes(8);
    this.#pathlessSince = options.now;
    this.#log = options.log;
  }

  get state(): IceState {
    if (this.#isFailed) return "failed";
    if (this.#selected !== undefined) return "connected";
    if (this.#pairs.isAlive) return "checking";
    return this.#pairs.isEmpty && this.#remotes.length === 0 ? "new" : "disconnected";
  }

  /** The pair to send on: as controlling agent the one we nominated, else the best of those the peer did. */
  get selected(): SelectedPair | undefined {
    const pair = this.#selected;
    if (pair === undefined) return undefined;
    return { local: pair.local, remote: pair.remote, localKind: this.#localKind(pair), rttMs: pair.rttMs };
  }

  /** All own candidates, best first, as signalled. */
  get localCandidates(): readonly Candidate[] {
    return this.#locals.toSorted((a, b) => b.priority - a.priority);
  }

  /** The candidates the peer signalled, and those found. */
  get remoteCandidates(): readonly Candidate[] {
    return this.#remotes;
  }

  /** How many authentic-looking messages were ignored. */
  get ignored(): number {
    return this.#ignored;
  }

  /** Adds an own candidate. Returns it as it is to be signalled, or undefined if it is redundant or unusable. */
  addLocalCandidate(init: LocalCandidate, now: Instant): Candidate | undefined {
    if (!isUsableAddress(init.address) || this.#locals.length >= MAX_CANDIDATES) return undefined;
    // RFC 8445 §5.1.3: same address, same base.
    const isRedundant = this.#locals.some((known) =>
      known.address.equals(init.address) && known.base.equals(init.base)
    );
    if (isRedundant) return undefined;
    const { kind, address, base } = init;
    const family = address.family;
    const alike =
      this.#locals.filter((known) => known.kind === kind && known.address.family === family).length;
    const crossFamily = kind === "relayed" && init.viaFamily !== undefined && init.viaFamily !== family;
    const candidate: Candidate = {
      kind,
      address,
      base,
      priority: candidatePriority(kind, localPreference(kind, family, alike, crossFamily)),
      foundation: foundationOf(kind, base.ip),
      ufrag: this.localCredentials.username,
    };
    this.#locals.push(candidate);
    for (const remote of this.#remotes) {
      // A peer-reflexive candidate is known to reach only the address that it was found on.
      if (remote.kind !== "peerReflexive") this.#addPair(candidate, remote, now);
    }
    this.#update(now);
    return candidate;
  }

  /** Adds a candidate the peer signalled. Returns whether it was taken. */
  addRemoteCandidate(candidate: Candidate, now: Instant): boolean {
    const { ufrag } = candidate;
    if (ufrag !== undefined && ufrag !== this.remoteCredentials.username) return false;
    this.#invalidatedRemotes.delete(candidate.address.key);
    if (!this.#addRemote(candidate, now)) return false;
    for (const address of optimisticAddresses(candidate, this.#remotes)) {
      const { priority, foundation } = candidate;
      const guess: Candidate = {
        kind: "serverReflexive",
        address,
        base: address,
        priority,
        foundation,
        ufrag,
      };
      if (this.#remoteAt(address) === undefined) this.#addRemote(guess, now);
    }
    this.#update(now);
    return true;
  }

  /** Withdraws an own candidate. Returns it as it was signalled, or undefined if it is unknown. */
  invalidateLocalCandidate(kind: CandidateKind, address: SocketAddress, now: Instant): Candidate | undefined {
    const candidate = this.#locals.find((known) => known.kind === kind && known.address.equals(address));
    if (candidate === undefined) return undefined;
    this.#locals = this.#locals.filter((known) => known !== candidate);
    this.#removePairs((pair) => pair.local === candidate, now);
    return candidate;
  }

  /** Drops a candidate that the peer withdrew; later checks from its address are ignored. */
  invalidateRemoteCandidate(candidate: Candidate, now: Instant): void {
    if (this.#invalidatedRemotes.size < MAX_CANDIDATES) this.#invalidatedRemotes.add(candidate.address.key);
    this.#remotes = this.#remotes.filter((known) => !known.address.equals(candidate.address));
    this.#removePairs((pair) => pair.remote.address.equals(candidate.address), now);
  }

  /** Returns whether a request with `username` is for this agent. */
  accepts(username: string | undefined): boolean {
    return username === `${this.localCredentials.username}:${this.remoteCredentials.username}`;
  }

  /**
   * Handles a STUN message that came from `remote` to `local` (a host candidate's base, or a relayed address). Returns
   * whether it was an authentic message of this agent's peer.
   */
  handleStun(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): boolean {
    if (message.method !== Method.Binding || this.#isFailed) return false;
    if (message.class === "request") return this.#handleRequest(message, local, remote, now);
    if (message.class === "success") return this.#handleAnswer(message, local, remote, now);
    return false;
  }

  /** Switches between the two schedules of the profile. */
  setIdle(isIdle: boolean, now: Instant): void {
    if (isIdle === this.#isIdle) return;
    this.#isIdle = isIdle;
    this.#update(now);
  }

  handleTimeout(now: Instant): void {
    this.#update(now);
  }

  pollTransmit(): IceTransmit | undefined {
    return this.#transmits.shift();
  }

  pollTimeout(): Wake | undefined {
    if (this.#isWakeStale) {
      this.#wake = this.#nextWake();
      this.#isWakeStale = false;
    }
    return this.#wake;
  }

  #handleRequest(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): boolean {
    const priority = message.priority;
    if (
      !this.accepts(message.username) || priority === undefined || !message.verifyIntegrity(this.#localKey)
    ) {
      return false;
    }
    const candidate = this.#locals.find((known) => isSendable(known) && known.base.equals(local));
    const isRoleConflict = message.has(
      this.controlling ? Attribute.IceControlling : Attribute.IceControlled,
    );
    const isUnexpected = isRoleConflict || (this.controlling && message.useCandidate);
    if (candidate === undefined || isUnexpected || this.#invalidatedRemotes.has(remote.key)) {
      this.#ignored++;
      return true;
    }
    this.#answer(message, local, remote);
    const pair = this.#pairFor(candidate, remote, priority, now);
    if (pair === undefined) return true;
    pair.lastRequestAt = now;
    if (message.useCandidate && !pair.nominated) {
      pair.nominated = true;
      pair.trigger(now);
    }
    pair.revive(now);
    // The peer reaches us here again: whether we reach it is to be known now, not at the next rare check.
    if (pair.state === "in-progress" || !pair.isHealthy) pair.trigger(now);
    else if (!this.controlling) this.#suspect(pair, now);
    this.#update(now);
    return true;
  }

  /**
   * The controlling peer leaves a dead path long before our rare checks notice. If it checks `other`, but no longer the
   * selected pair, that one is checked now, and with it all that the peer has left alike: else the next dead one would
   * be selected, and found to be dead only then.
   */
  #suspect(other: CandidatePair, now: Instant): void {
    const selected = this.#selected;
    if (selected === undefined || other === selected || !other.nominated || !isSilent(selected, now)) return;
    for (const pair of this.#pairs) {
      if (!pair.nominated || pair.state !== "succeeded" || !pair.isHealthy || !isSilent(pair, now)) continue;
      pair.lastRequestAt = now;
      pair.suspect(now);
    }
  }

  #handleAnswer(message: StunMessage, local: SocketAddress, remote: SocketAddress, now: Instant): boolean {
    const transaction = message.transactionKey;
    const pair = this.#pairs.byTransaction(transaction);
    const mapped = message.mappedAddress;
    if (pair === undefined || mapped === undefined || !message.verifyIntegrity(this.#remoteKey)) return false;
    // RFC 8445 §7.2.5.2.1: an answer over another path says nothing about this one.
    if (!pair.local.base.equals(local) || !pair.remote.address.equals(remote)) {
      this.#ignored++;
      return true;
    }
    if (pair.onAnswer(transaction, mapped, now)) {
      this.#log.debug("Candidate pair works", { local, remote, rttMs: pair.rttMs });
    }
    this.#update(now);
    return true;
  }

  #answer(request: StunMessage, local: SocketAddress, remote: SocketAddress): void {
    const payload = new StunWriter(Method.Binding, "success", request.transactionId)
      .addXorAddress(Attribute.XorMappedAddress, remote)
      .addIntegrity(this.#localKey)
      .addFingerprint()
      .finish();
    this.#transmits.push({ local, remote, payload });
  }

  /** Returns the pair that a request arrived on, made if it is new (RFC 8445 §7.3.1.3 and §7.3.1.4). */
  #pairFor(
    local: Candidate,
    address: SocketAddress,
    priority: number,
    now: Instant,
  ): CandidatePair | undefined {
    let remote = this.#remoteAt(address);
    if (remote === undefined) {
      if (this.#remotes.length >= MAX_CANDIDATES) return undefined;
      const foundation = foundationOf("peerReflexive", address.ip);
      remote = { kind: "peerReflexive", address, base: address, priority, foundation, ufrag: undefined };
      this.#remotes.push(remote);
    }
    return this.#addPair(local, remote, now);
  }

  /** Takes `candidate` in, replacing one found or guessed before at its address, and pairs it. */
  #addRemote(candidate: Candidate, now: Instant): boolean {
    const known = this.#remoteAt(candidate.address);
    if (known !== undefined) {
      this.#remotes[this.#remotes.indexOf(known)] = candidate;
      for (const pair of this.#pairs) {
        if (pair.remote !== known) continue;
        pair.remote = candidate;
        pair.priority = this.#pairPriority(pair.local, candidate);
      }
      this.#pairs.sort();
    } else {
      if (this.#remotes.length >= MAX_CANDIDATES) return false;
      this.#remotes.push(candidate);
    }
    for (const local of this.#locals) this.#addPair(local, candidate, now)?.revive(now);
    return true;
  }

  #remoteAt(address: SocketAddress): Candidate | undefined {
    return this.#remotes.find((known) => known.address.equals(address));
  }

  /** Returns the pair of `local` and `remote`, made if it is new and possible. */
  #addPair(local: Candidate, remote: Candidate, now: Instant): CandidatePair | undefined {
    if (!isSendable(local) || local.address.family !== remote.address.family) return undefined;
    const known = this.#pairs.get(local, remote);
    if (known !== undefined) return known;
    const pair = new CandidatePair(local, remote, this.#pairPriority(local, remote), now);
    this.#hadPair = true;
    return this.#pairs.add(pair) ? pair : undefined;
  }

  #pairPriority(local: Candidate, remote: Candidate): bigint {
    return this.controlling
      ? pairPriority(local.priority, remote.priority)
      : pairPriority(remote.priority, local.priority);
  }

  #removePairs(isGone: (pair: CandidatePair) => boolean, now: Instant): void {
    this.#pairs.remove(isGone);
    this.#update(now);
  }

  /** Brings everything that follows from pairs and time up to date: failures, selection, due checks. */
  #update(now: Instant): void {
    if (this.#isFailed) return;
    for (const pair of this.#pairs) {
      const failsAt = pair.failsAt(this.#schedule);
      if (failsAt !== undefined && failsAt <= now) pair.fail();
    }
    this.#select(now);
    this.#pathlessSince = this.#pairs.isAlive ? undefined : this.#pathlessSince ?? now;
    if (now >= this.#givesUpAt) {
      this.#isFailed = true;
      this.#selected = undefined;
    } else {
      for (const pair of this.#pairs) {
        const due = pair.nextCheckAt(this.#schedule, this.#isIdle);
        if (due !== undefined && due <= now) this.#check(pair, now);
      }
    }
    this.#isWakeStale = true;
  }

  /** Controlling: nominates the best pair that works. Controlled: follows the best that works and was nominated. */
  #select(now: Instant): void {
    const best = this.#pairs.best((pair) => this.controlling || pair.nominated);
    if (best === this.#selected) return;
    this.#selected = best;
    if (best === undefined) return;
    this.#log.debug("Candidate pair selected", { local: best.local.base, remote: best.remote.address });
    if (this.controlling && !best.nominated) {
      best.nominated = true;
      best.trigger(now);
    }
  }

  #check(pair: CandidatePair, now: Instant): void {
    const { rng, transactionTag } = this.#options;
    const transactionId = rng.bytes(12);
    transactionId[0] = transactionTag >>> 16;
    transactionId[1] = transactionTag >>> 8;
    transactionId[2] = transactionTag;
    const writer = new StunWriter(Method.Binding, "request", transactionId)
      .addText(Attribute.Username, `${this.remoteCredentials.username}:${this.localCredentials.username}`)
      .add(this.controlling ? Attribute.IceControlling : Attribute.IceControlled, this.#tieBreaker)
      .addU32(Attribute.Priority, checkPriority(pair.local.priority));
    if (this.controlling && pair.nominated) writer.add(Attribute.UseCandidate);
    const payload = writer.addIntegrity(this.#remoteKey).addFingerprint().finish();
    pair.onCheckSent(transactionId.toHex(), now);
    this.#transmits.push({ local: pair.local.base, remote: pair.remote.address, payload });
  }

  get #schedule(): CheckSchedule {
    return this.#isIdle ? this.#options.profile.idle : this.#options.profile.active;
  }

  /** When the agent gives up: it waits longer as long as the peer may still be gathering its first candidates. */
  get #givesUpAt(): Instant {
    if (this.#pathlessSince === undefined) return Infinity;
    return this.#pathlessSince + (this.#hadPair ? DISCONNECTED_GRACE : CANDIDATE_TIMEOUT);
  }

  #nextWake(): Wake | undefined {
    if (this.#isFailed) return undefined;
    const givesUpAt = this.#givesUpAt;
    let wake: Wake | undefined = givesUpAt < Infinity ? { at: givesUpAt, reason: "ICE gives up" } : undefined;
    for (const pair of this.#pairs) {
      const check = pair.nextCheckAt(this.#schedule, this.#isIdle);
      const failure = pair.failsAt(this.#schedule);
      if (check !== undefined) wake = earliest(wake, { at: check, reason: "ICE check" });
      if (failure !== undefined) wake = earliest(wake, { at: failure, reason: "ICE pair fails" });
    }
    return wake;
  }

  #localKind(pair: CandidatePair): CandidateKind {
    if (pair.local.kind === "relayed" || pair.mapped === undefined) return pair.local.kind;
    const mapped = pair.mapped;
    return this.#locals.find((known) => known.address.equals(mapped))?.kind ?? "peerReflexive";
  }
}

const MAX_CANDIDATES = 64;
const MAX_TRANSMITS = 256;
const CANDIDATE_TIMEOUT = seconds(10);
const DISCONNECTED_GRACE = seconds(2);
/** More than three periods of a client's checks. */
const SUSPICIOUS_SILENCE = seconds(5);

function isSilent(pair: CandidatePair, now: Instant): boolean {
  return now - (pair.lastRequestAt ?? -Infinity) > SUSPICIOUS_SILENCE;
}

/** Server-reflexive candidates send from their base, which is a candidate of its own. */
function isSendable(candidate: Candidate): boolean {
  return candidate.kind === "host" || candidate.kind === "relayed";
}
