/**
 * Waiting for readable descriptors: epoll on one of the runtime's own threads, with an eventfd to end it early
 * (epoll(7), eventfd(2)).
 */

import { assert } from "../../lib/base/assert.ts";
import { faultOf } from "../errno.ts";
import { arena } from "../memory.ts";
import type { Pollable, Poller } from "../platform.ts";
import { errno, libc } from "./symbols.ts";

/** Returns a new poller with no sources. */
export function createPoller(): Poller {
  return new EpollPoller();
}

class EpollPoller implements Poller {
  readonly #epoll: number;
  readonly #wakeup: number;
  readonly #memory = arena.allocate(MEMORY);
  readonly #events = arena.address(this.#memory + EVENTS);
  readonly #sources = new Map<number, Pollable>();
  readonly #ready: Pollable[] = [];
  #pending: Promise<number> | undefined;
  #isOpen = true;

  constructor() {
    this.#epoll = libc.epoll_create1(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw faultOf("Cannot create an epoll instance", errno());
    this.#wakeup = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (this.#wakeup < 0) throw faultOf("Cannot create an eventfd", errno());
    this.#control(EPOLL_CTL_ADD, this.#wakeup);
    arena.setU64(this.#memory + ONE, 1);
  }

  add(source: Pollable): void {
    this.#sources.set(source.descriptor, source);
    this.#control(EPOLL_CTL_ADD, source.descriptor);
  }

  remove(source: Pollable): void {
    if (!this.#sources.delete(source.descriptor)) return;
    this.#control(EPOLL_CTL_DEL, source.descriptor);
  }

  async wait(timeoutMs: number | undefined): Promise<readonly Pollable[]> {
    assert(this.#pending === undefined, "one wait at a time");
    this.#ready.length = 0;
    if (!this.#isOpen) return this.#ready;
    const timeout = timeoutMs === undefined ? -1 : Math.max(0, Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT));
    this.#pending = libc.epoll_wait_elsewhere(this.#epoll, this.#events, MAX_EVENTS, timeout);
    const count = await this.#pending;
    this.#pending = undefined;
    return this.#collect(count);
  }

  poll(timeoutMs: number): readonly Pollable[] {
    assert(this.#pending === undefined, "one wait at a time");
    this.#ready.length = 0;
    if (!this.#isOpen) return this.#ready;
    return this.#collect(libc.epoll_wait(this.#epoll, this.#events, MAX_EVENTS, timeoutMs));
  }

  #collect(count: number): readonly Pollable[] {
    for (let index = 0; index < count; index++) {
      const descriptor = arena.getU32(this.#memory + EVENTS + index * EVENT_LENGTH + EVENT_DATA);
      if (descriptor === this.#wakeup) {
        libc.read(this.#wakeup, arena.address(this.#memory + DRAIN), 8);
        continue;
      }
      // A source may have been removed while the answer was on its way.
      const source = this.#sources.get(descriptor);
      if (source !== undefined) this.#ready.push(source);
    }
    return this.#ready;
  }

  wake(): void {
    if (this.#isOpen) libc.write(this.#wakeup, arena.address(this.#memory + ONE), 8);
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.wake();
    this.#isOpen = false;
    // The descriptor and the memory are in use by the other thread until then.
    await this.#pending;
    libc.close(this.#epoll);
    libc.close(this.#wakeup);
    arena.release(this.#memory, MEMORY);
  }

  #control(operation: number, descriptor: number): void {
    const event = this.#memory + CONTROL;
    arena.setU32(event, EPOLLIN);
    arena.setU32(event + EVENT_DATA, descriptor);
    arena.setU32(event + EVENT_DATA + 4, 0);
    if (
      libc.epoll_ctl(this.#epoll, operation, descriptor, arena.address(event)) < 0 &&
      operation === EPOLL_CTL_ADD
    ) {
      throw faultOf("Cannot wait for a descriptor", errno());
    }
  }
}

const EPOLL_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;

/** `struct epoll_event` is packed on x86-64 only. */
const EVENT_DATA = Deno.build.arch === "x86_64" ? 4 : 8;
const EVENT_LENGTH = EVENT_DATA + 8;
const MAX_EVENTS = 64;
const MAX_TIMEOUT = 2 ** 31 - 1;

const ONE = 0;
const DRAIN = 8;
const CONTROL = 16;
const EVENTS = 32;
const MEMORY = EVENTS + MAX_EVENTS * 16;
