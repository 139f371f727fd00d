/**
 * Hears of changes in the machine's network (rtnetlink(7)): a socket that the kernel tells, waited for on one of the
 * runtime's own threads, with an eventfd to end that.
 */

import { Fault } from "../../../lib/base/fault.ts";
import { Errno } from "../../errno.ts";
import { arena } from "../../memory.ts";
import type { NetworkMonitor } from "../../platform.ts";
import { libc } from "../symbols.ts";
import { openNetlink, receiveFromKernel } from "./socket.ts";

/**
 * Calls `onChange` after links, addresses, routes or rules changed; changes that follow each other closely are one
 * call, and so are more of them than the kernel could tell of. Undefined where the kernel does not tell.
 */
export function watchNetwork(onChange: () => void): NetworkMonitor | undefined {
  let socket: number;
  try {
    socket = openNetlink(GROUPS);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
  const wakeup = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wakeup < 0) {
    libc.close(socket);
    return undefined;
  }
  return new LinuxNetworkMonitor(socket, wakeup, onChange);
}

class LinuxNetworkMonitor implements NetworkMonitor {
  readonly #socket: number;
  readonly #wakeup: number;
  readonly #onChange: () => void;
  readonly #memory = arena.allocate(MEMORY);
  #isOpen = true;

  constructor(socket: number, wakeup: number, onChange: () => void) {
    this.#socket = socket;
    this.#wakeup = wakeup;
    this.#onChange = onChange;
    arena.setU32(this.#memory, socket);
    arena.setU16(this.#memory + EVENTS, POLLIN);
    arena.setU32(this.#memory + POLLFD, wakeup);
    arena.setU16(this.#memory + POLLFD + EVENTS, POLLIN);
    arena.setU64(this.#memory + ONE, 1);
    this.#run();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    libc.write(this.#wakeup, arena.address(this.#memory + ONE), 8);
  }

  async #run(): Promise<void> {
    try {
      while (await this.#wait(FOREVER)) {
        if (!this.#drain()) return;
        for (let round = 0; round < MAX_ROUNDS && await this.#wait(QUIET_MS); round++) {
          if (!this.#drain()) return;
        }
        if (this.#isOpen) this.#onChange();
      }
    } finally {
      // Only here: until then the other thread uses them.
      this.#isOpen = false;
      libc.close(this.#socket);
      libc.close(this.#wakeup);
      arena.release(this.#memory, MEMORY);
    }
  }

  /** Returns whether the kernel has something to tell, false after `timeoutMs` and after `close`. */
  async #wait(timeoutMs: number): Promise<boolean> {
    for (let failures = 0; this.#isOpen && failures < MAX_FAILURES; failures++) {
      const count = await libc.poll_elsewhere(arena.address(this.#memory), 2n, timeoutMs);
      // Below 0: a signal ended it early.
      if (count >= 0) return this.#isOpen && count > 0;
    }
    return false;
  }

  /** Reads all there is, unseen: who wants to know looks for himself. Returns false if nothing will come any more. */
  #drain(): boolean {
    for (let part = 0; part < MAX_PARTS; part++) {
      const received = receiveFromKernel(this.#socket);
      if (typeof received !== "number") continue;
      if (received === Errno.EAGAIN) return true;
      // More was to be told than fits the queue: that is a change as well.
      if (received !== Errno.ENOBUFS && received !== Errno.EMSGSIZE) return false;
    }
    return true;
  }
}

/** RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE. */
const GROUPS = [1, 5, 7, 8, 9, 11, 19].reduce((groups, group) => groups | 1 << (group - 1), 0);

/** How long nothing has to change until that is told, and how often it is waited for. */
const QUIET_MS = 20;
const MAX_ROUNDS = 10;
const FOREVER = -1;
const MAX_FAILURES = 1000;
/** What is left then is read after the next wait, which ends at once. */
const MAX_PARTS = 1024;

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const POLLIN = 1;
/** `struct pollfd`. */
const POLLFD = 8;
const EVENTS = 4;
const ONE = 2 * POLLFD;
const MEMORY = ONE + 8;
