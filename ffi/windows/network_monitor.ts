/**
 * Tells of changes of the machine's network: the IP Helper calls a function of ours after changes of routes, addresses and
 * interfaces (netioapi.h). It calls on threads of its own, where no JavaScript may run: so the function is the system's
 * SetEvent, and its first argument, the caller's context, an event that a poller waits for.
 */

import type { NetworkMonitor, Pollable } from "../platform.ts";
import type { EventSource } from "./event_poller.ts";
import { createEvent, createPoller } from "./poller.ts";
import { functionAddress, iphlpapi, kernel32, readU64, withMemory } from "./symbols.ts";

/** Calls `onChange` after changes; many may be one call. Undefined where the system does not tell. */
export function watchNetwork(onChange: () => void): NetworkMonitor | undefined {
  const event = createEvent();
  const setEvent = functionAddress("kernel32.dll", "SetEvent");
  const subscriptions: bigint[] = [];
  for (
    const subscribe of [
      iphlpapi.NotifyRouteChange2,
      iphlpapi.NotifyUnicastIpAddressChange,
      iphlpapi.NotifyIpInterfaceChange,
    ]
  ) {
    const error = withMemory(8, (at, out) => {
      const result = subscribe(AF_UNSPEC, setEvent, BigInt(event), 0, out);
      if (result === 0) subscriptions.push(readU64(at));
      return result;
    });
    if (error !== 0) {
      cancel(subscriptions);
      kernel32.CloseHandle(BigInt(event));
      return undefined;
    }
  }
  const monitor = new EventMonitor(event, subscriptions, onChange);
  void monitor.run();
  return monitor;
}

class EventMonitor implements NetworkMonitor, EventSource {
  readonly descriptor: number;
  isReady = false;
  readonly #subscriptions: readonly bigint[];
  readonly #onChange: () => void;
  readonly #poller = createPoller();
  #isOpen = true;

  constructor(event: number, subscriptions: readonly bigint[], onChange: () => void) {
    this.descriptor = event;
    this.#subscriptions = subscriptions;
    this.#onChange = onChange;
    this.#poller.add(this);
  }

  async run(): Promise<void> {
    while (this.#isOpen) {
      const ready: readonly Pollable[] = await this.#poller.wait(undefined);
      if (!this.#isOpen || ready.length === 0) continue;
      this.isReady = false;
      this.#onChange();
    }
    // Returns when no call of theirs is under way: the event may go then.
    cancel(this.#subscriptions);
    kernel32.CloseHandle(BigInt(this.descriptor));
  }

  close(): void {
    this.#isOpen = false;
    void this.#poller.close();
  }
}

function cancel(subscriptions: readonly bigint[]): void {
  for (const handle of subscriptions) iphlpapi.CancelMibChangeNotify2(handle);
}

const AF_UNSPEC = 0;
