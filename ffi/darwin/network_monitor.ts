/** Tells of changes of the machine's network: what the routing socket says (route(4)). */

import { arena } from "../memory.ts";
import type { NetworkMonitor, Pollable } from "../platform.ts";
import { openRoutingSocket } from "./native_kernel.ts";
import { createPoller } from "./poller.ts";
import { isNetworkChange, messageTypes } from "./route_message.ts";
import { libc } from "./symbols.ts";

/** Calls `onChange` after changes; many may be one call. Undefined where the kernel does not tell. */
export function watchNetwork(onChange: () => void): NetworkMonitor | undefined {
  const descriptor = openRoutingSocket();
  if (descriptor < 0) return undefined;
  const monitor = new RouteMonitor(descriptor, onChange);
  void monitor.run();
  return monitor;
}

class RouteMonitor implements NetworkMonitor, Pollable {
  readonly descriptor: number;
  readonly #poller = createPoller();
  readonly #onChange: () => void;
  readonly #buffer = arena.allocate(BUFFER_LENGTH);
  #isOpen = true;

  constructor(descriptor: number, onChange: () => void) {
    this.descriptor = descriptor;
    this.#onChange = onChange;
    this.#poller.add(this);
  }

  async run(): Promise<void> {
    while (this.#isOpen) {
      await this.#poller.wait(undefined);
      if (this.#isOpen && this.#drain()) this.#onChange();
    }
    libc.close(this.descriptor);
    arena.release(this.#buffer, BUFFER_LENGTH);
  }

  close(): void {
    this.#isOpen = false;
    void this.#poller.close();
  }

  /** Reads what there is, within bounds; returns whether any of it is a change. */
  #drain(): boolean {
    let isChange = false;
    const address = arena.address(this.#buffer);
    for (let reads = 0; reads < MAX_READS; reads++) {
      const length = Number(libc.recv(this.descriptor, address, BigInt(BUFFER_LENGTH), MSG_DONTWAIT));
      if (length <= 0) break;
      isChange ||= messageTypes(arena.view(this.#buffer, length)).some(isNetworkChange);
    }
    return isChange;
  }
}

const BUFFER_LENGTH = 8192;
const MAX_READS = 256;
const MSG_DONTWAIT = 0x80;
