/** The portal's records in an SQLite file: one row a record, its body as JSON. Survives restarts and power cuts. */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Fault } from "../lib/base/fault.ts";
import type { TableName, Tables } from "../lib/portal/model.ts";
import type { PortalStore } from "../lib/portal/store.ts";

export class SqliteStore implements PortalStore {
  readonly #database: DatabaseSync;
  readonly #all: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;

  /** Opens or creates the file at `path`. */
  constructor(path: string) {
    try {
      this.#database = new DatabaseSync(path);
      // Hashes of tokens and secrets of devices are nobody else's business.
      if (path !== ":memory:" && Deno.build.os !== "windows") Deno.chmodSync(path, 0o600);
      this.#database.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;",
      );
      const { user_version: version } = this.#database.prepare("PRAGMA user_version").get() as {
        user_version: number;
      };
      if (version > SCHEMA_VERSION) throw new Error(`it was made by a newer fz (schema ${version})`);
      this.#database.exec(SCHEMA);
      this.#all = this.#database.prepare("SELECT body FROM records WHERE kind = ? ORDER BY rowid");
      this.#put = this.#database.prepare(
        "INSERT INTO records (kind, id, body) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
      );
      this.#remove = this.#database.prepare("DELETE FROM records WHERE kind = ? AND id = ?");
    } catch (cause) {
      throw new Fault(
        "usage",
        `Cannot open portal database "${path}": ${cause instanceof Error ? cause.message : cause}`,
        {
          cause,
          next: "Choose another file with --database, or remove this one to start anew.",
        },
      );
    }
  }

  all<T extends TableName>(table: T): readonly Tables[T][] {
    return this.#all.all(table).map((row) => JSON.parse(String(row.body)));
  }

  put<T extends TableName>(table: T, record: Tables[T]): void {
    this.#put.run(table, record.id, JSON.stringify(record));
  }

  remove(table: TableName, id: string): void {
    this.#remove.run(table, id);
  }

  setting(name: string): string | undefined {
    const row = this.#database.prepare("SELECT value FROM settings WHERE name = ?").get(name);
    return row === undefined ? undefined : String(row.value);
  }

  setSetting(name: string, value: string): void {
    this.#database.prepare("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)").run(name, value);
  }

  /** Runs `work` as one transaction: all of it or nothing. */
  transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const outcome = work();
      this.#database.exec("COMMIT");
      return outcome;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#database.close();
  }
}

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  );
  CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
