/**
 * Notices that the machine reaches the Internet another way than before: another default route, another network. Looks
 * every few seconds, on every host alike, and speaks only of changes that last.
 */

import { Alarm } from "./alarm.ts";
import { monotonicNow } from "./clock.ts";

/** What is watched, and who is told. */
export interface NetworkWatchOptions {
  /** Returns the way at the moment; empty when there is none. */
  readonly read: () => Promise<string>;
  /** Called once for each lasting change from one way to another, also after a time without any. */
  readonly onChange: () => void;
  readonly intervalMs?: number;
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions;
  readonly #alarm: Alarm;
  #settled: string | undefined;
  #candidate = "";
  #isStopped = false;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
    this.#alarm = new Alarm(() => void this.#look());
  }

  /** Takes the way as it is now as the one to compare with. */
  async start(): Promise<void> {
    this.#settled = await this.#options.read();
    this.#candidate = this.#settled;
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    this.#alarm.clear();
  }

  async #look(): Promise<void> {
    const path = await this.#options.read().catch(() => "");
    if (this.#isStopped) return;
    const isSteady = path === this.#candidate;
    this.#candidate = path;
    // Without any way there is nothing to find; the same way again needs no new start.
    if (isSteady && path !== "" && path !== this.#settled) {
      this.#settled = path;
      this.#options.onChange();
    }
    this.#arm();
  }

  #arm(): void {
    if (this.#isStopped) return;
    this.#alarm.set({
      at: monotonicNow() + (this.#options.intervalMs ?? INTERVAL_MS),
      reason: "network watch",
    });
  }
}

const INTERVAL_MS = 1000;
