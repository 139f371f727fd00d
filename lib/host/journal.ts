/**
 * What a session changed on its machine, or was about to change: enough to put it back after a kill or a power cut.
 * Written before the change, forgotten after it was undone. What the kernel itself drops with our TUN device is not in it.
 */

import * as v from "valibot";

/** One change. `id` tells it from others of the session; noting it again replaces it. */
export type Change =
  /** Rules and routes that carry our protocol number; found by looking. */
  | { readonly id: "network"; readonly type: "network"; readonly device: string }
  /** A file was written over. */
  | {
    readonly id: `file:${string}`;
    readonly type: "file";
    readonly path: string;
    /** Undefined where there was none. `target` is that of a symbolic link. */
    readonly original:
      | {
        readonly type: "file";
        /** Base64. */
        readonly content: string;
        readonly mode: number;
        readonly uid: number;
        readonly gid: number;
      }
      | { readonly type: "link"; readonly target: string }
      | undefined;
    /** Whether the file kept its inode, as a bind mount demands. */
    readonly isInPlace: boolean;
  }
  /** A record of ours was given to resolvconf(8). */
  | { readonly id: `resolvconf:${string}`; readonly type: "resolvconf"; readonly record: string }
  /** NetworkManager was told about a device. Its settings end with the device. */
  | { readonly id: "network-manager"; readonly type: "network-manager"; readonly device: string }
  /** systemd-resolved was told about a device. Its settings end with the device. */
  | { readonly id: "resolved"; readonly type: "resolved"; readonly device: string }
  /** A key of macOS's dynamic store. */
  | { readonly id: `scutil:${string}`; readonly type: "scutil"; readonly key: string }
  /** Windows' name resolution policy, and the resolvers of our adapter. */
  | { readonly id: "nrpt"; readonly type: "nrpt"; readonly adapter: string }
  /** A route of ours that does not end with our device: macOS, Windows. */
  | {
    readonly id: `route:${string}`;
    readonly type: "route";
    readonly destination: string;
    readonly via: string;
    readonly device: string;
  };

/** Where changes are noted. Both return when the disk has it. */
export interface Journal {
  /** Notes what is about to be changed. Throws a Fault ("privilege", "unexpected") if it cannot: then change nothing. */
  note(change: Change): void;
  /** Forgets what was undone. Never throws. */
  forget(id: Change["id"]): void;
}

/** A journal that keeps nothing, for looks that change nothing and for tests. */
export const NO_JOURNAL: Journal = { note() {}, forget() {} };

/** A change, and of which kernel's life and network it was one. */
export interface JournalEntry {
  /** Of the kernel that ran then (random(4), boot_id); empty where there is none to be had. */
  readonly boot: string;
  /** Inode of the network namespace (namespaces(7)); empty where there are none. */
  readonly namespace: string;
  readonly change: Change;
}

/** More than any session changes. */
export const MAX_CHANGES = 256;
/** What a journal may be long, in bytes: some files of 64 KiB. */
export const MAX_JOURNAL_BYTES = 2 ** 20;

/** Returns whether `change` outlives its kernel and its network namespace: it is in files. */
function isLasting({ type }: Change): boolean {
  switch (type) {
    case "file":
    case "resolvconf":
    case "nrpt":
      return true;
    case "network":
    case "resolved":
    case "network-manager":
    case "scutil":
    case "route":
      return false;
  }
}

/** Returns whether `change` is found on the machine, or ends with our device, also if nobody noted it. */
export function isFoundUnnoted({ type }: Change): boolean {
  switch (type) {
    case "network":
    case "resolved":
    case "network-manager":
    case "route":
      return true;
    case "file":
    case "resolvconf":
    case "nrpt":
    case "scutil":
      return false;
  }
}

/** Returns whether `entry` can still be there under the kernel and in the namespace of `here`. */
export function canRemain(
  { boot, namespace, change }: JournalEntry,
  here: Pick<JournalEntry, "boot" | "namespace">,
): boolean {
  return isLasting(change) || (boot === here.boot && namespace === here.namespace);
}

/** Returns a change for a person: "the file /etc/resolv.conf". */
export function describeChange(change: Change): string {
  switch (change.type) {
    case "network":
      return `rules and routes of ${change.device}`;
    case "file":
      return `the file ${change.path}`;
    case "resolvconf":
      return `the record ${change.record} of resolvconf`;
    case "network-manager":
      return `NetworkManager's settings of ${change.device}`;
    case "resolved":
      return `systemd-resolved's settings of ${change.device}`;
    case "scutil":
      return `the key ${change.key} of the dynamic store`;
    case "nrpt":
      return `the name resolution policy of ${change.adapter}`;
    case "route":
      return `the route to ${change.destination}`;
  }
}

const text = v.pipe(v.string(), v.maxLength(4096));
const number = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Absolute, and nothing in it that leads elsewhere. */
const path = v.pipe(
  text,
  v.regex(/^(\/|[A-Za-z]:)/),
  v.check((value) => !/(^|[/\\])\.\.($|[/\\])/.test(value)),
);
/** For tools, which must not take it for an option. */
const word = v.pipe(text, v.regex(/^[\w][\w.:@%-]*$/));

const Changes = v.variant("type", [
  v.object({ id: v.literal("network"), type: v.literal("network"), device: text }),
  v.object({
    id: v.custom<`file:${string}`>((value) => isOf("file", value)),
    type: v.literal("file"),
    path,
    original: v.optional(v.variant("type", [
      v.object({
        type: v.literal("file"),
        content: v.pipe(v.string(), v.base64(), v.maxLength(MAX_JOURNAL_BYTES)),
        mode: v.pipe(number, v.maxValue(0o7777)),
        uid: number,
        gid: number,
      }),
      v.object({ type: v.literal("link"), target: text }),
    ])),
    isInPlace: v.boolean(),
  }),
  v.object({
    id: v.custom<`resolvconf:${string}`>((value) => isOf("resolvconf", value)),
    type: v.literal("resolvconf"),
    record: word,
  }),
  v.object({ id: v.literal("network-manager"), type: v.literal("network-manager"), device: text }),
  v.object({ id: v.literal("resolved"), type: v.literal("resolved"), device: text }),
  v.object({
    id: v.custom<`scutil:${string}`>((value) => isOf("scutil", value)),
    type: v.literal("scutil"),
    key: text,
  }),
  v.object({ id: v.literal("nrpt"), type: v.literal("nrpt"), adapter: text }),
  v.object({
    id: v.custom<`route:${string}`>((value) => isOf("route", value)),
    type: v.literal("route"),
    destination: text,
    via: text,
    device: text,
  }),
]);

const SCHEMA = 1;

const Stored = v.object({
  schema: v.literal(SCHEMA),
  changes: v.pipe(
    v.array(v.object({ boot: text, namespace: text, change: Changes })),
    v.maxLength(MAX_CHANGES),
  ),
});

/** Returns the text of a journal. */
export function encodeJournal(changes: readonly JournalEntry[]): string {
  return `${JSON.stringify({ schema: SCHEMA, changes })}\n`;
}

/** Returns what a journal says, oldest first; undefined if any of it cannot be understood. */
export function decodeJournal(journal: string): readonly JournalEntry[] | undefined {
  if (journal.length > MAX_JOURNAL_BYTES) return undefined;
  try {
    const result = v.safeParse(Stored, JSON.parse(journal));
    if (!result.success) return undefined;
    return result.output.changes.map(({ change, ...where }) => ({
      ...where,
      change: change.type === "file" ? { ...change, original: change.original } : change,
    }));
  } catch {
    return undefined;
  }
}

/** Returns whether `journal` is one of a later version of this program, which alone understands it. */
export function isNewerJournal(journal: string): boolean {
  if (journal.length > MAX_JOURNAL_BYTES) return false;
  try {
    const { schema } = v.parse(v.object({ schema: v.pipe(v.number(), v.integer()) }), JSON.parse(journal));
    return schema > SCHEMA;
  } catch {
    return false;
  }
}

function isOf(kind: string, value: unknown): boolean {
  return typeof value === "string" && value.length <= 4096 && value.startsWith(`${kind}:`);
}
