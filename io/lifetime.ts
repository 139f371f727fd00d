/** The life of a role in the foreground: it becomes ready, goes on, and ends once, whoever ends it and however often. */

import { Fault } from "../lib/base/fault.ts";

/** A role that runs. */
export interface RunningRole {
  /** Resolves when the role does what it is for; rejects when it ends before that. */
  readonly ready: Promise<void>;
  /** Resolves when the role has stopped; rejects with the Fault that stopped it. */
  readonly done: Promise<void>;
  /** Ends everything; resolves when it is gone. */
  stop(): Promise<void>;
}

/** One life. */
export class Lifetime {
  readonly #noun: string;
  readonly #shutDown: () => Promise<void>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();
  #ending: Promise<void> | undefined;

  /** `noun`: what lives, for messages. `shutDown` is called once. */
  constructor(noun: string, shutDown: () => Promise<void>) {
    this.#noun = noun;
    this.#shutDown = shutDown;
    // Whoever does not wait for them has not asked for their reasons.
    this.ready.catch(() => {});
    this.done.catch(() => {});
  }

  /** See `RunningRole`. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** See `RunningRole`. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Whether the end has begun. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** What the role is for works now. */
  becomeReady(): void {
    this.#ready.resolve();
  }

  /** Ends the role because of `fault`, or because it was asked to. Resolves when it has ended. */
  end(fault?: Fault): Promise<void> {
    this.#ending ??= this.#shutDown().finally(() => {
      this.#ready.reject(
        fault ?? new Fault("unexpected", `The ${this.#noun} was stopped before it was ready`),
      );
      if (fault === undefined) this.#done.resolve();
      else this.#done.reject(fault);
    });
    return this.#ending;
  }
}
