/** Pseudonyms: one for each private thing, "name-3", the same as long as the memory lives. */

/** Most things that are told apart; a text with more of a kind is hardly read by people. */
const MAX_REMEMBERED = 200_000;

/** Gives out pseudonyms and remembers them. */
export class Pseudonyms {
  readonly #byKind = new Map<string, Map<string, string>>();
  #count = 0;

  /** How many pseudonyms of each kind were given out. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#byKind].map(([kind, known]) => [kind, known.size]));
  }

  /** Returns the pseudonym of the thing that `key` tells from others of its kind, with `prefix` before it when new. */
  of(kind: string, key: string, prefix = ""): string {
    let known = this.#byKind.get(kind);
    if (known === undefined) this.#byKind.set(kind, known = new Map());
    let pseudonym = known.get(key);
    if (pseudonym === undefined) {
      if (this.#count >= MAX_REMEMBERED) return `${prefix}${kind}-n`;
      this.#count++;
      known.set(key, pseudonym = `${prefix}${kind}-${known.size + 1}`);
    }
    return pseudonym;
  }
}
