/**
 * A candidate pair (RFC 8445 §6.1.2) and when it is to be checked. Driven by `IceAgent`. The states Frozen and Waiting
 * are absent: every pair is checked as soon as it exists. A failed pair stays in the list and is tried now and then,
 * because the path may come (back) to life.
 */

import type { SocketAddress } from "../base/ip.ts";
import { type Duration, type Instant, seconds } from "../base/time.ts";
import type { Candidate } from "./candidate.ts";
import { checkDelay, type CheckSchedule } from "./profile.ts";

/** How far the check of a pair has come (RFC 8445 §6.1.2.6). */
export type PairState = "in-progress" | "succeeded" | "failed";

export class CandidatePair {
  /** Host or relayed: server-reflexive candidates send from their base and need no pair of their own. */
  readonly local: Candidate;
  remote: Candidate;
  priority: bigint;
  /** Whether our checks carry USE-CANDIDATE (controlling), or the peer's did (controlled). Never withdrawn. */
  nominated = false;
  /** Our address as the peer saw it in the last answered check. */
  mapped: SocketAddress | undefined;
  rttMs: Duration | undefined;
  /** When the peer's last check arrived on this pair. */
  lastRequestAt: Instant | undefined;

  #state: PairState = "in-progress";
  #checks: { readonly transaction: string; readonly sentAt: Instant }[] = [];
  /** Scheduled checks since the last answer; triggered ones do not count, the peer decides how many there are. */
  #unanswered = 0;
  #firstUnansweredAt: Instant = 0;
  #isSuspect = false;
  #lastScheduledAt: Instant | undefined;
  /** Since when a check is due at once, out of schedule. */
  #triggeredAt: Instant | undefined;

  #startedAt: Instant;

  constructor(local: Candidate, remote: Candidate, priority: bigint, now: Instant) {
    this.local = local;
    this.remote = remote;
    this.priority = priority;
    this.#startedAt = now;
  }

  get state(): PairState {
    return this.#state;
  }

  /** Whether answers still come. A pair that lost several in a row is used only if there is nothing better. */
  get isHealthy(): boolean {
    return this.#unanswered < (this.#isSuspect ? UNHEALTHY_CHECKS_OF_SUSPECT : UNHEALTHY_CHECKS);
  }

  /** Asks for one check at once (RFC 8445 §7.3.1.4). */
  trigger(now: Instant): void {
    this.#triggeredAt ??= now;
  }

  /**
   * Notes that there is reason to believe that the pair is dead: asks for the next scheduled check at once, one that
   * counts, and bears fewer lost checks until an answer comes.
   */
  suspect(now: Instant): void {
    this.#isSuspect = true;
    if (this.#unanswered === 0 && this.#lastScheduledAt !== undefined) this.#lastScheduledAt = -Infinity;
    else this.trigger(now);
  }

  /** Starts over, as if the pair were new. Does nothing unless it has failed. */
  revive(now: Instant): void {
    if (this.#state !== "failed") return;
    this.#state = "in-progress";
    this.#unanswered = 0;
    this.#isSuspect = false;
    this.#lastScheduledAt = undefined;
    this.#startedAt = now;
  }

  /** Returns when the next check is due. */
  nextCheckAt(schedule: CheckSchedule, isIdle: boolean): Instant | undefined {
    if (this.#triggeredAt !== undefined) return this.#triggeredAt;
    const last = this.#lastScheduledAt;
    if (last === undefined) return this.#startedAt;
    if (this.#state === "failed") return isIdle ? undefined : last + FAILED_CHECK_INTERVAL;
    if (this.#unanswered === 0) return last + schedule.maxDelay;
    if (this.#unanswered >= schedule.maxChecks) return undefined;
    const next = last + checkDelay(schedule, this.#unanswered);
    if (this.#state === "in-progress") return next;
    // A single late answer of a working pair is not yet a reason to hurry.
    const patience = Math.min(schedule.maxDelay / 2, MAX_PATIENCE);
    return Math.max(next, this.#firstUnansweredAt + patience);
  }

  /** Returns when the pair has failed unless an answer comes before, once all its checks are sent. */
  failsAt(schedule: CheckSchedule): Instant | undefined {
    if (this.#state === "failed" || this.#unanswered < schedule.maxChecks) return undefined;
    return this.#lastScheduledAt! + checkDelay(schedule, this.#unanswered);
  }

  fail(): void {
    this.#state = "failed";
  }

  /** Notes that a check was sent. */
  onCheckSent(transaction: string, now: Instant): void {
    if (this.#triggeredAt === undefined || this.#lastScheduledAt === undefined) {
      if (this.#unanswered === 0) this.#firstUnansweredAt = now;
      this.#unanswered++;
      this.#lastScheduledAt = now;
    }
    this.#triggeredAt = undefined;
    if (this.#checks.length === MAX_OUTSTANDING) this.#checks.shift();
    this.#checks.push({ transaction, sentAt: now });
  }

  hasTransaction(transaction: string): boolean {
    return this.#checks.some((check) => check.transaction === transaction);
  }

  /** Notes that a check was answered. Returns whether the pair works only since now. */
  onAnswer(transaction: string, mapped: SocketAddress, now: Instant): boolean {
    const index = this.#checks.findIndex((check) => check.transaction === transaction);
    if (index < 0) return false;
    const sample = now - this.#checks[index]!.sentAt;
    this.rttMs = this.rttMs === undefined ? sample : this.rttMs + (sample - this.rttMs) / 8;
    this.#checks.splice(0, index + 1);
    this.#unanswered = 0;
    this.#isSuspect = false;
    this.mapped = mapped;
    const isNew = this.#state !== "succeeded";
    this.#state = "succeeded";
    return isNew;
  }
}

/** This many checks in a row without an answer, and another working pair is preferred. */
const UNHEALTHY_CHECKS = 5;
const UNHEALTHY_CHECKS_OF_SUSPECT = 3;
const MAX_PATIENCE: Duration = 750;
const MAX_OUTSTANDING = 64;
/** About the period of NAT keepalives: both sides' attempts meet within the lifetime of a NAT binding. */
const FAILED_CHECK_INTERVAL = seconds(25);
