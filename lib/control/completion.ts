/** Names that the shell's completion may ask for. */

/** What the machine or the running session knows names of. */
export type FactKind = "resource" | "profile" | "interface";

/** A name to complete, and a word about it. */
export interface Fact {
  readonly name: string;
  readonly note?: string;
}

/** Names by kind, as far as they could be had. */
export type CompletionFacts = Readonly<Partial<Record<FactKind, readonly Fact[]>>>;
