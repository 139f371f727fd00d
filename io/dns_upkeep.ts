/**
 * Keeps a session's DNS settings in force: hears of changes where the machine tells of them, looks every now and then, and
 * sets them again as often as lib/host/dns_repair.ts allows.
 */

import type { SystemDns } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import type { DnsControl } from "../lib/host/dns_control.ts";
import { DnsRepair } from "../lib/host/dns_repair.ts";
import { monotonicNow } from "./clock.ts";

/** Where the machine's DNS stands. */
export interface DnsState {
  readonly control: DnsControl;
  /** Why this way was taken: one sentence. */
  readonly reason: string;
  /** What was seen of the machine at the start. */
  readonly evidence: readonly string[];
  /** How often somebody overwrote our settings, and they were set again. */
  readonly repairs: number;
  /** Why names do not reach the session though they should. */
  readonly problem: string | undefined;
}

/** What programs are told. */
export type DnsStateEvent =
  | { readonly event: "dns-repaired"; readonly repairs: number }
  | { readonly event: "dns-problem"; readonly reason: string };

/** What is kept, and why it was taken. */
export interface DnsUpkeepOptions {
  readonly dns: SystemDns;
  readonly reason: string;
  readonly evidence: readonly string[];
  readonly log: Log;
}

export class DnsUpkeep {
  readonly #options: DnsUpkeepOptions;
  readonly #repair = new DnsRepair();
  #watch: { close(): void } | undefined;
  #onEvent: (event: DnsStateEvent) => void = () => {};
  #settling: ReturnType<typeof setTimeout> | undefined;

  constructor(options: DnsUpkeepOptions) {
    this.#options = options;
  }

  get state(): DnsState {
    const { dns, reason, evidence } = this.#options;
    return {
      control: dns.control,
      reason,
      evidence,
      repairs: this.#repair.count,
      problem: this.#repair.problem,
    };
  }

  /** Calls `onChange` a moment after the machine told of a change, and `onEvent` about repairs, until `close`. */
  watch(onChange: () => void, onEvent: (event: DnsStateEvent) => void): void {
    this.#onEvent = onEvent;
    this.#watch ??= this.#options.dns.watch?.(() => {
      // Who writes a file may be in the middle of it.
      this.#settling ??= setTimeout(() => {
        this.#settling = undefined;
        onChange();
      }, SETTLE_MS);
    });
  }

  close(): void {
    clearTimeout(this.#settling);
    this.#watch?.close();
    this.#watch = undefined;
  }

  /** Looks whether our settings are in force, and sets them again by `set` if that is due. */
  async maintain(set: () => Promise<void>): Promise<void> {
    const { dns, log } = this.#options;
    const before = this.#repair.problem;
    const verdict = this.#repair.judge(await dns.isInForce(), monotonicNow());
    if (verdict === "none") return;
    if (verdict === "repair") {
      log.warn("somebody changed this machine's DNS settings; setting them again", {
        count: this.#repair.count,
      });
      try {
        await set();
        this.#repair.noteSet();
        return this.#onEvent({ event: "dns-repaired", repairs: this.#repair.count });
      } catch (error) {
        log.warn("cannot set this machine's DNS again", { error });
        this.#repair.noteFailed(
          error instanceof Fault ? error.message : "Cannot set this machine's DNS again",
        );
      }
    }
    const { problem } = this.#repair;
    if (problem === undefined || problem === before) return;
    log.error("names do not reach the session", { reason: problem });
    this.#onEvent({ event: "dns-problem", reason: problem });
  }

  /** The settings were set for another reason, and are in force. */
  noteSet(): void {
    this.#repair.noteSet();
  }
}

const SETTLE_MS = 250;
