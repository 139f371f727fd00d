/**
 * Watches how the machine reaches the Internet: by the kernel's own word where it gives it, else by looking every second;
 * and notices that the machine slept, because a clock that counts sleep has jumped. `lib/host/path_watch.ts` judges.
 */

import type { NetworkMonitor } from "../ffi/platform.ts";
import type { Instant } from "../lib/base/time.ts";
import { Pace } from "../lib/host/pace.ts";
import { type PathChange, PathWatch } from "../lib/host/path_watch.ts";
import { type Clock, systemClock } from "./clock.ts";

/** What is watched, and who is told. */
export interface NetworkWatchOptions {
  /** Returns the path at the moment: empty when there is none, undefined when the system did not tell. */
  readonly read: () => Promise<string | undefined>;
  /** `Platform.watchNetwork`. */
  readonly subscribe: (onChange: () => void) => NetworkMonitor | undefined;
  /** Called when everything that hangs on the path has to start over. */
  readonly onChange: (change: PathChange) => void;
  /** Called some time after anything changed, the path or not; not again before it has resolved. Must not reject. */
  readonly onTouched: () => Promise<void>;
  /** Called when the path could not be read, with how often that was so by then. What was known holds. */
  readonly onBlind?: (count: number) => void;
  /** Has to count the time asleep. Default: the process's one clock. */
  readonly clock?: Clock;
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions;
  readonly #clock: Clock;
  readonly #touchPace = new Pace({ shortest: 1000, inRow: 4, longest: 5000 });
  #path: PathWatch | undefined;
  #monitor: NetworkMonitor | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  #isLooking = false;
  #isTouching = false;
  #blindLooks = 0;
  #lookAt = Infinity;
  /** When `onTouched` is due, and what it must not be put off beyond. */
  #touchAt = Infinity;
  #touchBy = Infinity;
  #tickedAt: Instant;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#tickedAt = this.#clock.now();
  }

  /** Whether there is a way out, as last seen; true before anybody saw anything. */
  get hasPath(): boolean {
    return this.#path?.hasPath ?? true;
  }

  /** Takes the path as it is as the one to compare with. */
  async start(): Promise<void> {
    // Before the first look: what changes in between is told.
    this.#monitor = this.#subscribe();
    this.#isLooking = true;
    const path = await this.#read();
    this.#isLooking = false;
    if (this.#isStopped) return;
    const now = this.#clock.now();
    this.#path = new PathWatch(path, now);
    this.#tickedAt = now;
    this.#lookAt = Math.min(this.#lookAt, now + this.#lookIntervalAfter(path));
    this.#arm();
  }

  /** The owner starts over by itself. */
  handleReset(): void {
    this.#path?.handleReset(this.#clock.now());
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#monitor?.close();
    this.#monitor = undefined;
  }

  /** Undefined also where it cannot be had for want of descriptors: then the path is looked at every second. */
  #subscribe(): NetworkMonitor | undefined {
    try {
      return this.#options.subscribe(() => this.#handleEvent());
    } catch {
      return undefined;
    }
  }

  #lookIntervalAfter(path: string | undefined): number {
    return this.#monitor === undefined || path === undefined ? POLL_INTERVAL : DISTRUST_INTERVAL;
  }

  #handleEvent(): void {
    if (this.#isStopped) return;
    const now = this.#clock.now();
    this.#lookAt = Math.min(this.#lookAt, now + LOOK_DELAY);
    if (this.#touchBy === Infinity) this.#touchBy = now + TOUCH_PATIENCE;
    this.#touchAt = Math.max(Math.min(now + TOUCH_DELAY, this.#touchBy), this.#touchPace.next);
    this.#arm();
  }

  #turn(): void {
    const path = this.#path!;
    const now = this.#clock.now();
    const hasSlept = now - this.#tickedAt >= POLL_INTERVAL + SLEPT;
    this.#tickedAt = now;
    if (hasSlept) path.handleWoken(now);
    path.handleTimeout(now);
    this.#tell(path);
    if ((now >= this.#lookAt || hasSlept) && !this.#isLooking) void this.#look(path);
    if (now >= this.#touchAt && !this.#isTouching) void this.#touch(now);
    this.#arm();
  }

  async #look(path: PathWatch): Promise<void> {
    this.#isLooking = true;
    this.#lookAt = Infinity;
    const text = await this.#read();
    this.#isLooking = false;
    if (this.#isStopped) return;
    const now = this.#clock.now();
    if (text !== undefined) path.handlePath(text, now);
    this.#tell(path);
    this.#lookAt = Math.min(this.#lookAt, now + this.#lookIntervalAfter(text));
    this.#arm();
  }

  async #touch(now: Instant): Promise<void> {
    this.#isTouching = true;
    this.#touchAt = Infinity;
    this.#touchBy = Infinity;
    this.#touchPace.note(now);
    await this.#options.onTouched();
    this.#isTouching = false;
    this.#arm();
  }

  #tell(path: PathWatch): void {
    const change = path.pollChange();
    if (change !== undefined && !this.#isStopped) this.#options.onChange(change);
  }

  async #read(): Promise<string | undefined> {
    const path = await attempt(this.#options.read);
    if (path === undefined && !this.#isStopped) this.#options.onBlind?.(++this.#blindLooks);
    return path;
  }

  #arm(): void {
    if (this.#isStopped || this.#path === undefined) return;
    clearTimeout(this.#timer);
    const now = this.#clock.now();
    const at = Math.min(
      this.#tickedAt + POLL_INTERVAL,
      this.#isLooking ? Infinity : this.#lookAt,
      this.#isTouching ? Infinity : this.#touchAt,
      this.#path.pollTimeout()?.at ?? Infinity,
    );
    this.#timer = setTimeout(() => this.#turn(), Math.max(Math.ceil(at - now), 0));
  }
}

async function attempt(read: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await read();
  } catch {
    return undefined;
  }
}

const POLL_INTERVAL = 1000;
/** Even the kernel's word may be lost: its queue is bounded. */
const DISTRUST_INTERVAL = 10_000;
/** Events come in swarms: one look for all. */
const LOOK_DELAY = 50;
const TOUCH_DELAY = 500;
const TOUCH_PATIENCE = 2000;
/** A process that was kept from running for so long beyond its time slept: even a busy machine is not so late. */
const SLEPT = 6000;
