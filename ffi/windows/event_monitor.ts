/** Tells of changes whose subscriptions set one event: makes and undoes all that this takes, whatever fails of it. */

import { Fault } from "../../lib/base/fault.ts";
import type { NetworkMonitor, Poller } from "../platform.ts";
import type { EventSource } from "./event_poller.ts";

/** The system's side of it. */
export interface MonitorKernel {
  /** Makes an event that resets itself; returns its handle. Throws a Fault. */
  createEvent(): number;
  closeEvent(event: number): void;
  /** Has `event` set after changes of each kind; each returns its handle, undefined where the system does not tell. */
  readonly subscriptions: readonly ((event: number) => bigint | undefined)[];
  /** Ends a subscription; returns when no call of its is under way. */
  cancel(subscription: bigint): void;
  /** Throws a Fault. */
  createPoller(): Poller;
}

/** Calls `onChange` after changes; undefined where the system does not tell. Throws a Fault if it cannot be waited. */
export function monitorEvents(kernel: MonitorKernel, onChange: () => void): NetworkMonitor | undefined {
  const event = kernel.createEvent();
  const subscribed: bigint[] = [];
  // The event may go when nobody sets it any more.
  const undo = () => {
    for (const subscription of subscribed) kernel.cancel(subscription);
    kernel.closeEvent(event);
  };
  try {
    for (const subscribe of kernel.subscriptions) {
      const subscription = subscribe(event);
      if (subscription === undefined) {
        undo();
        return undefined;
      }
      subscribed.push(subscription);
    }
    const monitor = new EventMonitor(event, kernel.createPoller(), onChange);
    // A system that cannot wait tells of nothing any more, which a look every now and then makes up for.
    void monitor.run().catch(ignoreFault).finally(undo);
    return monitor;
  } catch (error) {
    undo();
    throw error;
  }
}

class EventMonitor implements NetworkMonitor, EventSource {
  readonly descriptor: number;
  isReady = false;
  readonly #poller: Poller;
  readonly #onChange: () => void;
  #isOpen = true;

  constructor(event: number, poller: Poller, onChange: () => void) {
    this.descriptor = event;
    this.#poller = poller;
    this.#onChange = onChange;
  }

  /** Ends with `close`, or rejects with the Fault of a wait. */
  async run(): Promise<void> {
    try {
      this.#poller.add(this);
      while (this.#isOpen) {
        const ready = await this.#poller.wait(undefined);
        if (!this.#isOpen || ready.length === 0) continue;
        this.isReady = false;
        this.#onChange();
      }
    } finally {
      await this.#poller.close();
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#poller.wake();
  }
}

function ignoreFault(error: unknown): void {
  if (!(error instanceof Fault)) throw error;
}
