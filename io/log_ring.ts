/** The last records of this process's log, whatever the sinks are: what `fz log` and bundles show. */

import type { LogDocument } from "../lib/control/api.ts";

const MAX_RECORDS = 4000;
const MAX_LENGTH = 2 * 2 ** 20;
/** What a record costs besides its texts, roughly. */
const RECORD_OVERHEAD = 100;

/** A bounded list of records that others can follow. Lengths are in characters. */
export class LogRing {
  readonly #maxRecords: number;
  readonly #maxLength: number;
  readonly #readers = new Set<(record: LogDocument) => void>();
  #entries: Entry[] = [];
  /** Entries before this index are forgotten; moving them out one by one would cost. */
  #start = 0;
  #length = 0;

  constructor(maxRecords = MAX_RECORDS, maxLength = MAX_LENGTH) {
    this.#maxRecords = maxRecords;
    this.#maxLength = maxLength;
  }

  push(record: LogDocument): void {
    const length = lengthOf(record);
    this.#entries.push({ record, length });
    this.#length += length;
    while (this.#count > this.#maxRecords || (this.#length > this.#maxLength && this.#count > 1)) {
      this.#length -= this.#entries[this.#start]!.length;
      this.#start++;
    }
    if (this.#start > this.#maxRecords) {
      this.#entries = this.#entries.slice(this.#start);
      this.#start = 0;
    }
    for (const reader of this.#readers) reader(record);
  }

  /** Returns what is kept, oldest first. */
  records(): LogDocument[] {
    return this.#entries.slice(this.#start).map(({ record }) => record);
  }

  /** Calls `reader` at each new record until the returned function is called. It must not log. */
  follow(reader: (record: LogDocument) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  get #count(): number {
    return this.#entries.length - this.#start;
  }
}

/** The ring of this process. */
export const processLog: LogRing = new LogRing();

interface Entry {
  readonly record: LogDocument;
  readonly length: number;
}

function lengthOf({ category, message, fields }: LogDocument): number {
  let length = RECORD_OVERHEAD + category.length + message.length;
  for (const name in fields) {
    const value = fields[name];
    length += name.length + (typeof value === "string" ? value.length : JSON.stringify(value)?.length ?? 8);
  }
  return length;
}
