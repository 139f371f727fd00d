/**
 * Requests waiting for an answer, and when to repeat them. A repeated request may carry a new transaction id; the first
 * answer to any of its ids settles it, later ones are unknown. Pure bookkeeping: the owner builds and sends messages.
 */

import { toHex } from "../base/bytes.ts";
import type { Instant, Wake } from "../base/time.ts";

/** When a request is sent, and when we stop waiting: milliseconds after its start. */
export interface RetransmissionSchedule {
  readonly sendsAt: readonly number[];
  readonly giveUpAt: number;
}

/** 1 s, growing by half each time, eight seconds in all. */
export const PATIENT: RetransmissionSchedule = { sendsAt: [0, 1000, 2500, 4750], giveUpAt: 8000 };
/** A single attempt: to learn quickly whether a relay is still there. */
export const SINGLE: RetransmissionSchedule = { sendsAt: [0], giveUpAt: 1000 };
/** A few attempts in quick succession: what matters is whether any is answered. */
export const SOUNDING: RetransmissionSchedule = { sendsAt: [0, 1000], giveUpAt: 3000 };

/** One request in flight. */
export interface Transaction<T> {
  readonly request: T;
  readonly startedAt: Instant;
  readonly schedule: RetransmissionSchedule;
  /** How often it was sent. */
  readonly sends: number;
}

/** What an answer is matched with. */
export interface Settled<T> {
  readonly transaction: Transaction<T>;
  /** What `sent` was told about the very message that was answered. */
  readonly nonce: string | undefined;
}

export class Transactions<T> {
  readonly #open = new Set<OpenTransaction<T>>();
  readonly #byId = new Map<string, { transaction: OpenTransaction<T>; nonce: string | undefined }>();

  /** How many requests are in flight. */
  get size(): number {
    return this.#open.size;
  }

  /** Adds a request; the owner sends it at once and calls `sent`. */
  start(request: T, schedule: RetransmissionSchedule, now: Instant): Transaction<T> {
    const transaction = { request, schedule, startedAt: now, sends: 0, ids: [] };
    this.#open.add(transaction);
    return transaction;
  }

  /** Notes that a message with `id` went out for `transaction`, carrying `nonce`. */
  sent(transaction: Transaction<T>, id: Uint8Array, nonce: string | undefined): void {
    const open = transaction as OpenTransaction<T>;
    if (!this.#open.has(open)) return;
    const key = toHex(id);
    open.sends++;
    open.ids.push(key);
    this.#byId.set(key, { transaction: open, nonce });
  }

  /** Returns the request that the transaction `key` belongs to, without settling it. */
  peek(key: string): Transaction<T> | undefined {
    return this.#byId.get(key)?.transaction;
  }

  /** Settles the request that the transaction `key` belongs to and returns it, or undefined if it is unknown. */
  settle(key: string): Settled<T> | undefined {
    const found = this.#byId.get(key);
    if (found !== undefined) this.#remove(found.transaction);
    return found;
  }

  /** Returns the first request in flight that `matches`. */
  find(matches: (request: T) => boolean): Transaction<T> | undefined {
    for (const transaction of this.#open) if (matches(transaction.request)) return transaction;
    return undefined;
  }

  /** Returns a request to send again (kept) or given up on (removed), or undefined if none is due at `now`. */
  takeDue(now: Instant): { type: "retransmit" | "gave-up"; transaction: Transaction<T> } | undefined {
    for (const transaction of this.#open) {
      if (now >= transaction.startedAt + transaction.schedule.giveUpAt) {
        this.#remove(transaction);
        return { type: "gave-up", transaction };
      }
      if (now >= nextAt(transaction)) return { type: "retransmit", transaction };
    }
    return undefined;
  }

  /** Forgets all requests; their answers become unknown. */
  clear(): void {
    this.#open.clear();
    this.#byId.clear();
  }

  pollTimeout(): Wake | undefined {
    let at = Infinity;
    for (const transaction of this.#open) at = Math.min(at, nextAt(transaction));
    return at === Infinity ? undefined : { at, reason: "TURN retransmission" };
  }

  #remove(transaction: OpenTransaction<T>): void {
    this.#open.delete(transaction);
    for (const id of transaction.ids) this.#byId.delete(id);
  }
}

interface OpenTransaction<T> extends Transaction<T> {
  sends: number;
  readonly ids: string[];
}

function nextAt<T>({ startedAt, schedule, sends }: Transaction<T>): Instant {
  return startedAt + (schedule.sendsAt[sends] ?? schedule.giveUpAt);
}
