import assert from "node:assert/strict";
import type { Platform } from "../../ffi/platform.ts";
import { guarded } from "../../io/guardian.ts";
import type { HeldJournal } from "../../io/journal.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";

const FILE: Change = { id: "file:/x", type: "file", path: "/x", original: undefined, isInPlace: true };
const RECORD: Change = { id: "resolvconf:tun.fz0", type: "resolvconf", record: "tun.fz0" };

Deno.test("guarded: dismisses the guard of what is undone, and none of what is left when the session ends", () => {
  const { story, journal } = watched();
  journal.note(FILE);
  journal.note(RECORD);
  journal.forget(FILE.id);
  journal.close();
  assert.deepEqual(story, [
    "note file:/x",
    "guard 0",
    "note resolvconf:tun.fz0",
    "guard 1",
    "forget file:/x",
    "dismiss 0",
    "close",
  ]);
});

Deno.test("guarded: what is noted anew has its guard before the former one goes", () => {
  const { story, journal } = watched();
  journal.note(FILE);
  journal.note(FILE);
  assert.deepEqual(story.slice(2), ["note file:/x", "guard 1", "dismiss 0"]);
});

function watched() {
  const story: string[] = [];
  const held: HeldJournal = {
    path: "/journal.json",
    setAside: [],
    entries: () => [],
    check() {},
    note: ({ id }) => void story.push(`note ${id}`),
    forget: (id) => void story.push(`forget ${id}`),
    close: () => void story.push("close"),
  };
  let guards = 0;
  const platform = {
    guardChange() {
      const number = guards++;
      story.push(`guard ${number}`);
      return { end: () => void story.push(`dismiss ${number}`) };
    },
  } as unknown as Platform;
  return { story, journal: guarded(held, { platform, lockPath: "/lock", log: silentLog }) };
}
