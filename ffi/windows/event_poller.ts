/**
 * Waiting for many events at once, whose kind and count Windows bounds (WaitForMultipleObjects). Events are consumed by
 * being seen, so each source keeps in mind that it is not dry yet: that makes waiting level-triggered.
 */

import { assert } from "../../lib/base/assert.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { Pollable, Poller } from "../platform.ts";

/** A source with an event that resets itself when somebody has waited for it; `descriptor` is its handle. */
export interface EventSource extends Pollable {
  /** There may be something to receive. Set when the event was seen, cleared by `receive` when it finds nothing. */
  isReady: boolean;
}

/** Handles of the system, kept in numbered places for the call that waits. */
export interface WaitKernel {
  /** Makes an event that resets itself; returns its handle. Throws a Fault. */
  createEvent(): number;
  setEvent(handle: number): void;
  /** Returns a handle of our own to what `handle` is, so that its owner may close his at any time; 0 if it cannot. */
  duplicate(handle: number): number;
  close(handle: number): void;
  /** Puts a handle to the place `index`. */
  place(index: number, handle: number): void;
  /**
   * Waits for any of `count` places from `first` on; returns the first one that was set, counted from `first`, or
   * anything beyond when none was within `timeoutMs` (undefined = no limit), `WAIT_FAILED` where it cannot wait.
   */
  wait(first: number, count: number, timeoutMs: number | undefined): number;
  /** Does the same on another thread. */
  waitElsewhere(count: number, timeoutMs: number | undefined): Promise<number>;
  /** Gives the places back. */
  end(): void;
}

/** What `WaitKernel.wait` returns where the system cannot wait at all (WaitForMultipleObjects, "Return value"). */
export const WAIT_FAILED = 0xffff_ffff;

/** MAXIMUM_WAIT_OBJECTS, ours among them. */
export const MAX_EVENTS = 64;

/** The place of our own event. */
const OWN_EVENT = 0;

export class EventPoller implements Poller {
  readonly #kernel: WaitKernel;
  readonly #wakeup: number;
  /** Each with our own handle to its event. */
  readonly #sources = new Map<EventSource, number>();
  readonly #ready: EventSource[] = [];
  /** Sources in the order of the places after the first, which has our own event. */
  #order: readonly EventSource[] = [];
  #isOrderStale = false;
  /** Handles that a pending wait may use still. */
  readonly #discarded: number[] = [];
  #pending: Promise<number> | undefined;
  #isWaiting = false;
  /** Somebody wants the wait to end; otherwise our own event only says that sources came or went. */
  #isWoken = false;
  #isOpen = true;

  constructor(kernel: WaitKernel) {
    this.#kernel = kernel;
    this.#wakeup = kernel.createEvent();
    kernel.place(OWN_EVENT, this.#wakeup);
  }

  add(source: Pollable): void {
    assert(isEventSource(source), "a source has an event");
    if (this.#sources.has(source)) return;
    if (this.#sources.size + 1 >= MAX_EVENTS) {
      throw new Fault(
        "unexpected",
        `Cannot wait for more than ${MAX_EVENTS - 1} sockets and devices at once`,
      );
    }
    const handle = this.#kernel.duplicate(source.descriptor);
    if (handle === 0) throw new Fault("unexpected", "Cannot wait for an event: its handle is not valid");
    this.#sources.set(source, handle);
    this.#changed();
  }

  remove(source: Pollable): void {
    if (!isEventSource(source)) return;
    const handle = this.#sources.get(source);
    if (handle === undefined) return;
    this.#sources.delete(source);
    this.#discarded.push(handle);
    this.#changed();
  }

  async wait(timeoutMs: number | undefined): Promise<readonly Pollable[]> {
    assert(!this.#isWaiting, "one wait at a time");
    this.#ready.length = 0;
    this.#isWaiting = true;
    const deadline = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
    try {
      for (let rest = timeoutMs; this.#isOpen;) {
        const places = this.#arrange();
        this.#pending = this.#kernel.waitElsewhere(places, this.#hasReady() ? 0 : rest);
        const found = await this.#pending;
        this.#pending = undefined;
        this.#collect(found, places);
        if (this.#ready.length > 0 || this.#isWoken || found !== OWN_EVENT) break;
        // Sources came or went: it goes on with those that there are.
        if (deadline !== undefined) rest = Math.max(0, deadline - performance.now());
      }
    } finally {
      this.#isWaiting = false;
      this.#isWoken = false;
    }
    return this.#ready;
  }

  poll(timeoutMs: number): readonly Pollable[] {
    assert(!this.#isWaiting, "one wait at a time");
    this.#ready.length = 0;
    if (!this.#isOpen) return this.#ready;
    const places = this.#arrange();
    this.#collect(this.#kernel.wait(0, places, this.#hasReady() ? 0 : timeoutMs), places);
    this.#isWoken = false;
    return this.#ready;
  }

  wake(): void {
    if (!this.#isOpen) return;
    this.#isWoken = true;
    this.#kernel.setEvent(this.#wakeup);
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.wake();
    this.#isOpen = false;
    // Handles and places are in use by the other thread until then.
    await this.#pending;
    for (const handle of [...this.#sources.values(), ...this.#discarded]) this.#kernel.close(handle);
    this.#sources.clear();
    this.#discarded.length = 0;
    this.#kernel.close(this.#wakeup);
    this.#kernel.end();
  }

  /** A pending wait looks at the handles that it was given: it is interrupted, and goes on with the right ones. */
  #changed(): void {
    this.#isOrderStale = true;
    if (this.#pending !== undefined) this.#kernel.setEvent(this.#wakeup);
  }

  /** Puts the handles to their places; returns how many there are. */
  #arrange(): number {
    if (this.#isOrderStale) {
      this.#isOrderStale = false;
      this.#order = [...this.#sources.keys()];
      for (const [index, source] of this.#order.entries()) {
        this.#kernel.place(index + 1, this.#sources.get(source)!);
      }
      for (const handle of this.#discarded) this.#kernel.close(handle);
      this.#discarded.length = 0;
    }
    return this.#order.length + 1;
  }

  /** A wait tells of the first event only: those behind it are asked for one by one. */
  #collect(found: number, places: number): void {
    // Taken for an empty wait, it would be tried again at once, for ever.
    if (found === WAIT_FAILED) throw new Fault("unexpected", "Cannot wait for events: Windows refuses it");
    for (let at = found; at < places;) {
      const source = at === OWN_EVENT ? undefined : this.#order[at - 1];
      if (source !== undefined) source.isReady = true;
      const first = at + 1;
      if (first >= places) break;
      const next = this.#kernel.wait(first, places - first, 0);
      at = next < places - first ? first + next : places;
    }
    // A source may have been removed meanwhile.
    for (const source of this.#sources.keys()) if (source.isReady) this.#ready.push(source);
  }

  #hasReady(): boolean {
    for (const source of this.#sources.keys()) if (source.isReady) return true;
    return false;
  }
}

function isEventSource(source: Pollable): source is EventSource {
  return "isReady" in source;
}
