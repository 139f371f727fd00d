/** A journal that has each change guarded while it stands: what must not wait for the next start when we are killed. */

import type { Guard, Platform } from "../ffi/platform.ts";
import type { Log } from "../lib/base/log.ts";
import type { Change } from "../lib/host/journal.ts";
import type { HeldJournal } from "./journal.ts";

/** Whom to ask for guards, and which lock they respect. */
export interface GuardedOptions {
  readonly platform: Platform;
  readonly lockPath: string;
  readonly log: Log;
}

/** Returns `journal` with a guard over each change in it that this process makes. */
export function guarded(journal: HeldJournal, { platform, lockPath, log }: GuardedOptions): HeldJournal {
  const guards = new Map<Change["id"], Guard>();
  return {
    path: journal.path,
    setAside: journal.setAside,
    entries: () => journal.entries(),
    check: () => journal.check(),
    note(change) {
      journal.note(change);
      const before = guards.get(change.id);
      const guard = platform.guardChange?.(change, lockPath, log);
      if (guard === undefined) guards.delete(change.id);
      else guards.set(change.id, guard);
      // Not before its successor watches.
      before?.end();
    },
    forget(id) {
      journal.forget(id);
      guards.get(id)?.end();
      guards.delete(id);
    },
    // What could not be undone in time is left to its guards, when the process is gone.
    close: () => journal.close(),
  };
}
