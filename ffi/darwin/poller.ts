/** Waiting for readable descriptors: kqueue on one of the runtime's own threads, with an event of ours to end it early. */

import { assert } from "../../lib/base/assert.ts";
import { arena } from "../memory.ts";
import type { Pollable, Poller } from "../platform.ts";
import { faultOf } from "./errno.ts";
import { FIOCLEX } from "./interface_request.ts";
import {
  EventFilter,
  EventFlag,
  KEVENT_LENGTH,
  NOTE_TRIGGER,
  readableDescriptor,
  writeKernelEvent,
} from "./kernel_event.ts";
import { errno, ioctl, libc } from "./symbols.ts";

/** Returns a new poller with no sources. */
export function createPoller(): Poller {
  return new KqueuePoller();
}

class KqueuePoller implements Poller {
  readonly #queue: number;
  readonly #memory = arena.allocate(MEMORY);
  readonly #events = arena.address(this.#memory + EVENTS);
  readonly #sources = new Map<number, Pollable>();
  readonly #ready: Pollable[] = [];
  #pending: Promise<number> | undefined;
  #isOpen = true;

  constructor() {
    this.#queue = libc.kqueue();
    if (this.#queue < 0) throw faultOf("Cannot create a kernel queue", errno());
    ioctl(this.#queue, FIOCLEX, 0n);
    if (!this.#change(WAKEUP, EventFilter.user, EventFlag.add | EventFlag.clear)) {
      throw faultOf("Cannot create an event", errno());
    }
  }

  add(source: Pollable): void {
    this.#sources.set(source.descriptor, source);
    if (!this.#change(source.descriptor, EventFilter.read, EventFlag.add)) {
      throw faultOf("Cannot wait for a descriptor", errno());
    }
  }

  remove(source: Pollable): void {
    if (!this.#sources.delete(source.descriptor)) return;
    this.#change(source.descriptor, EventFilter.read, EventFlag.delete);
  }

  async wait(timeoutMs: number | undefined): Promise<readonly Pollable[]> {
    assert(this.#pending === undefined, "one wait at a time");
    this.#ready.length = 0;
    if (!this.#isOpen) return this.#ready;
    const timeout = this.#timeout(timeoutMs);
    this.#pending = libc.kevent_elsewhere(this.#queue, 0n, 0, this.#events, MAX_EVENTS, timeout);
    const count = await this.#pending;
    this.#pending = undefined;
    return this.#collect(count);
  }

  poll(timeoutMs: number): readonly Pollable[] {
    assert(this.#pending === undefined, "one wait at a time");
    this.#ready.length = 0;
    if (!this.#isOpen) return this.#ready;
    const timeout = this.#timeout(timeoutMs);
    return this.#collect(libc.kevent(this.#queue, 0n, 0, this.#events, MAX_EVENTS, timeout));
  }

  wake(): void {
    if (this.#isOpen) this.#change(WAKEUP, EventFilter.user, 0, NOTE_TRIGGER);
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.wake();
    this.#isOpen = false;
    // The descriptor and the memory are in use by the other thread until then.
    await this.#pending;
    libc.close(this.#queue);
    arena.release(this.#memory, MEMORY);
  }

  #collect(count: number): readonly Pollable[] {
    for (let index = 0; index < count; index++) {
      const descriptor = readableDescriptor(arena.data, this.#memory + EVENTS + index * KEVENT_LENGTH);
      // A source may have been removed while the answer was on its way.
      const source = descriptor === undefined ? undefined : this.#sources.get(descriptor);
      if (source !== undefined) this.#ready.push(source);
    }
    return this.#ready;
  }

  /** Returns the address of a `timespec`; 0 waits for ever. */
  #timeout(timeoutMs: number | undefined): bigint {
    if (timeoutMs === undefined) return 0n;
    const wait = Math.max(0, Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT));
    arena.setU64(this.#memory, Math.floor(wait / 1000));
    arena.setU64(this.#memory + 8, wait % 1000 * 1e6);
    return arena.address(this.#memory);
  }

  #change(identifier: number, filter: number, flags: number, filterFlags = 0): boolean {
    const at = this.#memory + CHANGE;
    writeKernelEvent(arena.data, at, { identifier, filter, flags, filterFlags });
    return libc.kevent(this.#queue, arena.address(at), 1, 0n, 0, 0n) >= 0;
  }
}

const WAKEUP = 0;
const MAX_EVENTS = 64;
const MAX_TIMEOUT = 2 ** 31 - 1;

/** A timespec, one change, the events. */
const CHANGE = 16;
const EVENTS = CHANGE + KEVENT_LENGTH;
const MEMORY = EVENTS + MAX_EVENTS * KEVENT_LENGTH;
