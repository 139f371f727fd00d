/**
 * Who runs, since when, and what to look at when he was killed: `<runtime>/session.json`. It is there from the start of
 * a session to its end; one whose process is gone was killed and has left things behind.
 */

import * as v from "valibot";
import type { Paths } from "../../lib/control/paths.ts";
import { DNS_CONTROLS } from "../../lib/host/dns_control.ts";
import { VERSION } from "../../lib/control/version.ts";
import { writeDraft } from "../draft.ts";
import { isHidden, processStart } from "./process.ts";

const MAX_BYTES = 16_384;

const SessionRecord = v.object({
  schema: v.literal(1),
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** In the words of the kernel; a recycled process id has another one. */
  processStart: v.string(),
  startedAt: v.string(),
  version: v.string(),
  profile: v.string(),
  /** What was asked for; undefined: the default, what fits the machine. */
  tunName: v.optional(v.string()),
  dnsControl: v.optional(v.picklist(DNS_CONTROLS)),
});
/** What a session leaves in its file. */
export type SessionRecord = v.InferOutput<typeof SessionRecord>;

/** What is known of the session of a runtime folder. */
export type SessionTrace =
  | { readonly type: "none" }
  /** The process lives; it may not answer yet, or no more. */
  | { readonly type: "alive"; readonly record: SessionRecord }
  /** The record is missing where the file cannot be understood. */
  | { readonly type: "killed"; readonly record: SessionRecord | undefined };

/** Writes that this process is the session. Whoever reads sees all of it or nothing. */
export async function writeSessionFile(
  { sessionFile }: Pick<Paths, "sessionFile">,
  facts: Pick<SessionRecord, "profile" | "tunName" | "dnsControl">,
): Promise<void> {
  const record: SessionRecord = {
    schema: 1,
    pid: Deno.pid,
    processStart: await processStart(Deno.pid) ?? "",
    startedAt: new Date().toISOString(),
    version: VERSION,
    ...facts,
  };
  const draft = `${sessionFile}.${Deno.pid}`;
  writeDraft(draft, JSON.stringify(record) + "\n", 0o644);
  await Deno.rename(draft, sessionFile);
}

/** Removes the file. */
export async function removeSessionFile({ sessionFile }: Pick<Paths, "sessionFile">): Promise<void> {
  await Deno.remove(sessionFile).catch(() => {});
}

/** Returns what the file says, and the kernel of the process in it. */
export async function readSessionTrace({ sessionFile }: Pick<Paths, "sessionFile">): Promise<SessionTrace> {
  let text: string;
  try {
    const { isFile, size } = await Deno.stat(sessionFile);
    // Opening a pipe would wait for somebody who writes.
    if (!isFile || size > MAX_BYTES) return { type: "killed", record: undefined };
    text = await Deno.readTextFile(sessionFile);
  } catch {
    return { type: "none" };
  }
  const record = parse(text);
  if (record === undefined) return { type: "killed", record };
  const start = await processStart(record.pid);
  const isAlive = start === record.processStart || (start === undefined && await isHidden(record.pid));
  return { type: isAlive ? "alive" : "killed", record };
}

function parse(text: string): SessionRecord | undefined {
  try {
    const result = v.safeParse(SessionRecord, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
