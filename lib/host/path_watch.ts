/**
 * Judges when the machine reaches the Internet another way than before, so that what hangs on the old way has to start
 * over: another default route, another address, waking up. A change counts when it lasts. A machine, driven by the shell,
 * which reads the path (a text, empty when there is none) whenever the kernel tells of something. What cannot be read is not
 * shown to it: what was known then holds.
 */

import { type Duration, type Instant, seconds, type Wake } from "../base/time.ts";
import { Pace } from "./pace.ts";

/** Why everything has to start over. */
export type PathChange =
  /** Another default route, another address. */
  | "moved"
  /** There is a way after a while without, though the same. */
  | "back"
  /** The machine slept: others have forgotten us. */
  | "woken";

export class PathWatch {
  readonly #pace = new Pace({ shortest: seconds(2), inRow: 4, longest: seconds(10) });
  /** The path that the owner works with. */
  #settled: string | undefined;
  #current: string | undefined;
  #currentSince: Instant;
  /** Since when there is a path that is not the settled one; a return to that ends it. */
  #differsSince: Instant | undefined;
  #goneSince: Instant | undefined;
  /** What happened that makes even the settled path a new one. */
  #doubt: "back" | "woken" | undefined;
  #change: PathChange | undefined;

  /** `path` is what the owner starts with; undefined: the first one that is shown. */
  constructor(path: string | undefined, now: Instant) {
    this.#settled = path;
    this.#current = path;
    this.#currentSince = now;
    if (path === "") this.#goneSince = now;
  }

  /** Whether there is a way at all, as last read; true while nobody knows. */
  get hasPath(): boolean {
    return this.#current !== "";
  }

  /** Takes the path as it is. */
  handlePath(path: string, now: Instant): void {
    if (path === this.#current) return this.#judge(now);
    this.#settled ??= path;
    if (this.#goneSince !== undefined && path !== "") {
      if (now - this.#goneSince >= SHORT_ABSENCE) this.#doubt ??= "back";
      this.#goneSince = undefined;
    }
    if (path === "") this.#goneSince = now;
    this.#current = path;
    this.#currentSince = now;
    if (path === this.#settled) this.#differsSince = undefined;
    else if (path !== "") this.#differsSince ??= now;
    this.#judge(now);
  }

  /** The machine slept. */
  handleWoken(now: Instant): void {
    this.#doubt = "woken";
    this.#judge(now);
  }

  /** The owner has started over by itself, whatever the path is. */
  handleReset(now: Instant): void {
    this.#take(now);
  }

  handleTimeout(now: Instant): void {
    this.#judge(now);
  }

  pollTimeout(): Wake | undefined {
    const at = this.#dueAt;
    return at === undefined ? undefined : { at, reason: "path settles" };
  }

  /** Returns the change that happened, once. */
  pollChange(): PathChange | undefined {
    const change = this.#change;
    this.#change = undefined;
    return change;
  }

  /** When the owner has to start over, as things are; undefined if there is nothing to do, or nowhere to go. */
  get #dueAt(): Instant | undefined {
    if (this.#current === undefined || this.#current === "") return undefined;
    const isMoved = this.#current !== this.#settled;
    if (!isMoved && this.#doubt === undefined) return undefined;
    // Whatever it is: after sleep nothing of before works.
    const settledAt = this.#doubt === "woken"
      ? this.#currentSince
      : Math.min(this.#currentSince + SETTLE_TIME, (this.#differsSince ?? Infinity) + PATIENCE);
    return Math.max(settledAt, this.#pace.next);
  }

  #judge(now: Instant): void {
    const at = this.#dueAt;
    if (at === undefined || now < at) return;
    const isMoved = this.#current !== this.#settled && this.#doubt !== "woken";
    this.#change = isMoved ? "moved" : this.#doubt;
    this.#take(now);
  }

  #take(now: Instant): void {
    this.#pace.note(now);
    this.#settled = this.#current;
    this.#differsSince = undefined;
    this.#doubt = undefined;
  }
}

/** So long a path must stay as it is to count: addresses and routes come one after the other, within few milliseconds. */
const SETTLE_TIME: Duration = 200;
/** So long a restless path is waited for. */
const PATIENCE: Duration = seconds(2);
/** Sessions, sockets and mappings in routers outlive being without a way for so long. */
const SHORT_ABSENCE: Duration = seconds(5);
