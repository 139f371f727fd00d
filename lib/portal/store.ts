/** Where the portal's records live between restarts. `io/portal_store.ts` implements it with SQLite. */

import type { TableName, Tables } from "./model.ts";

/** Where records live. */
export interface PortalStore {
  /** Returns every record of `table`. */
  all<T extends TableName>(table: T): readonly Tables[T][];
  /** Writes `record` under its id. */
  put<T extends TableName>(table: T, record: Tables[T]): void;
  remove(table: TableName, id: string): void;
  /** Returns the value of a setting (such as the hash salt), or undefined. */
  setting(name: string): string | undefined;
  setSetting(name: string, value: string): void;
}

/** A store that forgets everything with the process: for tests and `--in-memory`. */
export class MemoryStore implements PortalStore {
  readonly #tables = new Map<TableName, Map<string, { readonly id: string }>>();
  readonly #settings = new Map<string, string>();

  all<T extends TableName>(table: T): readonly Tables[T][] {
    return [...this.#tables.get(table)?.values() ?? []] as Tables[T][];
  }

  put<T extends TableName>(table: T, record: Tables[T]): void {
    const records = this.#tables.get(table) ?? new Map();
    this.#tables.set(table, records.set(record.id, record));
  }

  remove(table: TableName, id: string): void {
    this.#tables.get(table)?.delete(id);
  }

  setting(name: string): string | undefined {
    return this.#settings.get(name);
  }

  setSetting(name: string, value: string): void {
    this.#settings.set(name, value);
  }
}
