/** What a bundle tells about the session: what it answers, or what it left when none runs. */

import type { LogDocument, SessionEvent } from "../../lib/control/api.ts";
import type { BundleRequest } from "../../lib/control/bundle.ts";
import { type Paths, pathsOf } from "../../lib/control/paths.ts";
import type { Control } from "../../lib/control/control.ts";
import { connectControl } from "../control/client.ts";
import { readKeptLog } from "../kept_log.ts";
import { pathContext } from "../path_context.ts";
import { type Part, part, reasonOf } from "./parts.ts";

const MAX_EVENTS = 10_000;

/** Returns the parts about the session of this user, of root where this user has none. */
export async function sessionParts(request: BundleRequest, signal: AbortSignal): Promise<Part[]> {
  const paths = pathsOf(pathContext());
  const own = [
    part("session/files.json", () => document("session/files.json", listing(paths))),
    part("session/session.json", () => document("session/session.json", readJson(paths.sessionFile))),
    part("log/left.ndjson", () => keptLog(paths, request.logRecords)),
  ];
  let control: Control;
  try {
    control = await connectControl("read");
  } catch (error) {
    const missing = { type: "missing", name: "session/status.json", reason: reasonOf(error) } as const;
    return [missing, ...await Promise.all(own)];
  }
  const asked = [
    part("session/status.json", async () => document("session/status.json", await control.ask("status", {}))),
    part("session/health.json", async () => document("session/health.json", await control.ask("health", {}))),
    part(
      "session/log-filter.json",
      async () => document("session/log-filter.json", await control.ask("logFilter", {})),
    ),
    part("session/metrics.txt", async () => {
      const chunks = await Array.fromAsync(control.bytes("metrics", {}, signal));
      const text = await new Blob(chunks.map((chunk) => chunk.slice())).text();
      return { type: "text", name: "session/metrics.txt", text };
    }),
    part("log/session.ndjson", async () => {
      const values: LogDocument[] = [];
      for await (const record of control.lines("log", { last: request.logRecords }, signal)) {
        values.push(record);
      }
      return { type: "lines", name: "log/session.ndjson", values };
    }),
    part("session/events.ndjson", () => events(control, request.duration, signal)),
  ];
  return await Promise.all([...asked, ...own]);
}

async function events(control: Control, durationMs: number, signal: AbortSignal): Promise<Part> {
  const end = AbortSignal.any([signal, AbortSignal.timeout(durationMs)]);
  const values: SessionEvent[] = [];
  for await (const event of control.lines("events", {}, end)) {
    if (values.push(event) >= MAX_EVENTS) break;
  }
  return { type: "lines", name: "session/events.ndjson", values };
}

function keptLog({ logFolder }: Paths, last: number): Part {
  const kept = readKeptLog(logFolder, { last });
  if (kept === undefined) return { type: "missing", name: "log/left.ndjson", reason: "there is none" };
  return { type: "lines", name: "log/left.ndjson", values: kept.records };
}

/** Names, modes, owners and sizes of the session's files; what is in them stays where it is. */
function listing({ runtime, state, config }: Paths): Record<string, readonly unknown[]> {
  const folders = [runtime, state, `${state}/log`, config, `${config}/profiles`];
  return Object.fromEntries(folders.map((folder) => [folder, entriesOf(folder)]));
}

const MAX_ENTRIES = 200;

function entriesOf(folder: string): readonly unknown[] {
  try {
    return [...Deno.readDirSync(folder)].slice(0, MAX_ENTRIES).map(({ name }) => {
      const { mode, uid, gid, size, mtime } = Deno.lstatSync(`${folder}/${name}`);
      return {
        name,
        mode: mode === null ? null : (mode & 0o7777).toString(8),
        uid,
        gid,
        size,
        changed: mtime,
      };
    });
  } catch (error) {
    return [reasonOf(error)];
  }
}

function document(name: string, value: unknown): Part {
  return { type: "document", name, value };
}

function readJson(path: string): unknown {
  return JSON.parse(Deno.readTextFileSync(path));
}
