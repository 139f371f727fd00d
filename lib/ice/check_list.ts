/** The pairs of an agent, best first, as many as it can look after (RFC 8445 §6.1.2). */

import type { Candidate } from "./candidate.ts";
import type { CandidatePair } from "./pair.ts";

/** RFC 8445 §6.1.2.5 asks for a limit; upstream's is the same. */
const MAX_PAIRS = 100;

export class CheckList implements Iterable<CandidatePair> {
  #pairs: CandidatePair[] = [];

  get isEmpty(): boolean {
    return this.#pairs.length === 0;
  }

  /** Whether any pair works or is being tried. */
  get isAlive(): boolean {
    return this.#pairs.some((pair) => pair.state !== "failed");
  }

  [Symbol.iterator](): Iterator<CandidatePair> {
    return this.#pairs[Symbol.iterator]();
  }

  /** Returns the pair of `local` and `remote`. */
  get(local: Candidate, remote: Candidate): CandidatePair | undefined {
    return this.#pairs.find((pair) => pair.local === local && pair.remote === remote);
  }

  /** Returns the pair whose check has this transaction id. */
  byTransaction(id: string): CandidatePair | undefined {
    return this.#pairs.find((pair) => pair.hasTransaction(id));
  }

  /** Takes `pair` in; the least useful goes if there are too many. Returns whether that is another one. */
  add(pair: CandidatePair): boolean {
    this.#pairs.push(pair);
    this.sort();
    if (this.#pairs.length <= MAX_PAIRS) return true;
    const worst = this.#pairs.findLast((candidate) => candidate.state === "failed") ??
      this.#pairs.findLast((candidate) => candidate.state !== "succeeded") ?? pair;
    this.remove((candidate) => candidate === worst);
    return worst !== pair;
  }

  remove(isGone: (pair: CandidatePair) => boolean): void {
    this.#pairs = this.#pairs.filter((pair) => !isGone(pair));
  }

  /** To be called when priorities have changed. */
  sort(): void {
    this.#pairs.sort((a, b) => (a.priority < b.priority ? 1 : a.priority > b.priority ? -1 : 0));
  }

  /** Returns the pair to send on: healthy before ailing, then by priority. */
  best(isUsable: (pair: CandidatePair) => boolean): CandidatePair | undefined {
    const usable = this.#pairs.filter((pair) => pair.state === "succeeded" && isUsable(pair));
    return usable.find((pair) => pair.isHealthy) ?? usable[0];
  }
}
