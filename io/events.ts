/**
 * The machine-readable story of a running role: one JSON document a line, appended to the file or FIFO that the variable
 * FZ_EVENTS names. The demo and the tests read it.
 */

import { Fault } from "../lib/base/fault.ts";
import type { EventSink } from "../lib/control/event.ts";

const VARIABLE = "FZ_EVENTS";

/** Where events of this process go. */
export interface Events {
  readonly emit: EventSink;
  close(): void;
}

/** Returns where this process's events go; nowhere if the variable is not set. */
export function openEvents(): Events {
  const path = Deno.env.get(VARIABLE);
  if (path === undefined || path === "") return { emit() {}, close() {} };
  const file = openFile(path);
  return {
    emit(event) {
      const line = JSON.stringify({ time: new Date().toISOString(), ...event }) + "\n";
      try {
        file.writeSync(new TextEncoder().encode(line));
      } catch {
        // The reader has gone; the role goes on without it.
      }
    },
    close: () => file.close(),
  };
}

function openFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { create: true, append: true, mode: 0o600 });
  } catch (cause) {
    throw new Fault("usage", `Cannot write events to "${path}"`, { cause });
  }
}
