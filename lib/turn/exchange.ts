/**
 * Requests to one relay and their answers: signs, repeats, checks, and follows the relay's challenges (RFC 8489 §9.2).
 * What an answer means for the allocation is its owner's business.
 */

import type { Datagram } from "../base/datagram.ts";
import type { SocketAddress } from "../base/ip.ts";
import { Ring } from "../base/ring.ts";
import type { Rng } from "../base/rng.ts";
import { type Instant, seconds, type Wake } from "../base/time.ts";
import { Attribute, Method, type StunMessage, TRANSACTION_ID_LENGTH } from "../wire/stun.ts";
import { type Credentials, encodeRequest, methodOf, type Request } from "./requests.ts";
import { PATIENT, type RetransmissionSchedule, type Transaction, Transactions } from "./transactions.ts";

/**
 * How the first contact goes. "firezone": the first request names the user already, and the relay signs all its
 * answers, 401 and 438 included. "standard": it names nobody, and challenges are unsigned (RFC 8489 §9.2.3, §9.2.4).
 */
export type Dialect = "firezone" | "standard";

/** What came of a request. */
export type Outcome =
  | {
    readonly type: "success";
    readonly request: Request;
    readonly message: StunMessage;
    readonly startedAt: Instant;
    /** Milliseconds, or undefined if the request was repeated and we cannot tell which one was answered (Karn). */
    readonly rttMs: number | undefined;
  }
  | { readonly type: "error"; readonly request: Request; readonly code: number | undefined }
  /** The relay wants other credentials, or challenges in a way we cannot follow, or without end. */
  | { readonly type: "rejected"; readonly reason: "credentials" | "protocol" | "refused" }
  /** Not an answer to anything; a name for the counter. */
  | { readonly type: "ignored"; readonly reason: string }
  /** Sent again with the nonce that the relay asked for. */
  | { readonly type: "challenged" };

/** A request and where it went. */
export interface Sent {
  readonly request: Request;
  readonly remote: SocketAddress;
}

/** How many new nonces in a while we follow. */
const MAX_CHALLENGES = 6;
const CHALLENGE_WINDOW = seconds(60);
const MAX_DATAGRAMS = 1024;
/** RFC 8489 §14.10: characters of a nonce. */
const MAX_NONCE_LENGTH = 128;

export class Exchange {
  readonly #credentials: Credentials;
  readonly #dialect: Dialect;
  readonly #rng: Rng;
  readonly #transactions = new Transactions<Sent>();
  /** A forgotten request is a lost one: it is repeated. */
  readonly #datagrams = new Ring<Datagram>(MAX_DATAGRAMS);
  #nonce: string | undefined;
  #challenges = 0;
  #challengesSince = -Infinity;
  #unverifiable = false;
  #lastSentAt: Instant;

  constructor(credentials: Credentials, dialect: Dialect, rng: Rng, now: Instant) {
    this.#credentials = credentials;
    this.#dialect = dialect;
    this.#rng = rng;
    this.#lastSentAt = now;
  }

  /** When something was last sent to the relay. */
  get lastSentAt(): Instant {
    return this.#lastSentAt;
  }

  /** Whether an answer came that our password cannot have signed: the relay has another secret, or it was forged. */
  get sawUnverifiable(): boolean {
    return this.#unverifiable;
  }

  /** Returns whether a request of `type`, or any at all, is in flight. */
  has(type?: Request["type"]): boolean {
    return this.#transactions.find(({ request }) => type === undefined || request.type === type) !==
      undefined;
  }

  /** Sends `request` to `remote`, and again until it is answered or given up. */
  start(
    request: Request,
    remote: SocketAddress,
    now: Instant,
    schedule: RetransmissionSchedule = PATIENT,
  ): void {
    this.#send(this.#transactions.start({ request, remote }, schedule, now), now);
  }

  /** Notes that data was sent to the relay: that keeps NAT bindings alive as well as a request does. */
  noteData(now: Instant): void {
    this.#lastSentAt = now;
  }

  handleResponse(message: StunMessage, remote: SocketAddress, now: Instant): Outcome {
    if (message.class !== "success" && message.class !== "error") return ignored("not a response");
    const key = message.transactionKey;
    const sent = this.#transactions.peek(key)?.request;
    if (sent === undefined) return ignored("answer to unknown transaction");
    const { request } = sent;
    if (methodOf(request) !== message.method) return ignored("answer with wrong method");
    if (sent.remote.key !== remote.key) return ignored("answer from wrong address");
    if (!this.#isAuthentic(message)) {
      this.#unverifiable = true;
      return ignored("answer with wrong integrity");
    }
    const { transaction, nonce } = this.#transactions.settle(key)!;
    if (message.class === "error") return this.#handleError(sent, nonce, message, now);
    const { startedAt } = transaction;
    const rttMs = transaction.sends === 1 ? now - startedAt : undefined;
    return { type: "success", request, message, startedAt, rttMs };
  }

  /** Repeats what is due. Returns a request that was given up on; to be called until it returns undefined. */
  handleTimeout(now: Instant): Sent | undefined {
    for (let due = this.#transactions.takeDue(now); due; due = this.#transactions.takeDue(now)) {
      if (due.type === "gave-up") return due.transaction.request;
      this.#send(due.transaction, now);
    }
    return undefined;
  }

  /** Forgets all requests in flight. */
  clear(): void {
    this.#transactions.clear();
  }

  /** Forgets also what the relay told us. */
  reset(): void {
    this.clear();
    this.#nonce = undefined;
    this.#unverifiable = false;
  }

  pollTimeout(): Wake | undefined {
    return this.#transactions.pollTimeout();
  }

  pollDatagram(): Datagram | undefined {
    return this.#datagrams.shift();
  }

  #handleError(sent: Sent, sentNonce: string | undefined, message: StunMessage, now: Instant): Outcome {
    const { request, remote } = sent;
    const code = message.error?.code;
    if (request.type === "binding" || (code !== 401 && code !== 438)) return { type: "error", request, code };
    if (code === 401 && sentNonce !== undefined) return { type: "rejected", reason: "credentials" };
    const nonce = message.text(Attribute.Nonce);
    const isUsable = nonce !== undefined && nonce !== "" && nonce.length <= MAX_NONCE_LENGTH;
    if (!isUsable || message.text(Attribute.Realm) !== this.#credentials.realm) {
      return { type: "rejected", reason: "protocol" };
    }
    // Of several requests with one old nonce only the first answer counts: the others are merely late.
    if (sentNonce === this.#nonce) {
      if (now >= this.#challengesSince + CHALLENGE_WINDOW) {
        this.#challengesSince = now;
        this.#challenges = 0;
      }
      if (++this.#challenges > MAX_CHALLENGES) return { type: "rejected", reason: "refused" };
      this.#nonce = nonce;
    }
    this.start(request, remote, now);
    return { type: "challenged" };
  }

  #isAuthentic(message: StunMessage): boolean {
    if (message.method === Method.Binding || message.verifyIntegrity(this.#credentials.key)) return true;
    const code = message.error?.code;
    return this.#dialect === "standard" && message.class === "error" && (code === 401 || code === 438) &&
      !message.has(Attribute.MessageIntegrity);
  }

  #send(transaction: Transaction<Sent>, now: Instant): void {
    const { request, remote } = transaction.request;
    const id = request.type === "binding" ? request.id : this.#rng.bytes(TRANSACTION_ID_LENGTH);
    const isAnonymous = this.#dialect === "standard" && this.#nonce === undefined;
    const payload = encodeRequest(request, id, isAnonymous ? undefined : this.#credentials, this.#nonce);
    this.#transactions.sent(transaction, id, this.#nonce);
    this.#lastSentAt = now;
    this.#datagrams.push({ local: undefined, remote, payload });
  }
}

function ignored(reason: string): Outcome {
  return { type: "ignored", reason };
}

/** Returns the exponentially weighted moving average of round-trip times with one more sample, in milliseconds. */
export function smoothed(average: number | undefined, sample: number): number {
  return average === undefined ? sample : average + (sample - average) / 4;
}
