/** Names for the shell's completion, from the running session and from the machine; quickly, or not at all. */

import type { Duration } from "../lib/base/time.ts";
import type { CompletionFacts, Fact, FactKind } from "../lib/control/completion.ts";
import { pathsOf, sessionPaths } from "../lib/control/paths.ts";
import { pathContext } from "./path_context.ts";

/** Answers of the session beyond this are not waited for: shells show a few hundred names at most. */
const MAX_ANSWER_BYTES = 8 << 20;
const MAX_ENTRIES = 1000;

/** Returns the names of `kinds` that can be had within `deadline`. Never throws: a shell has no use for an error. */
export async function completionFacts(
  kinds: readonly FactKind[],
  deadline: Duration,
): Promise<CompletionFacts> {
  const signal = AbortSignal.timeout(deadline);
  const late = new Promise<readonly Fact[]>((resolve) => {
    signal.addEventListener("abort", () => resolve([]), { once: true });
  });
  const entries = kinds.map(async (kind) => {
    const found = namesOf(kind, signal).catch(() => []);
    return [kind, await Promise.race([found, late])] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function namesOf(kind: FactKind, signal: AbortSignal): Promise<readonly Fact[]> {
  switch (kind) {
    case "resource":
      return resources(signal);
    case "profile":
      return profiles();
    case "interface":
      return Deno.build.os === "linux" ? entriesOf("/sys/class/net") : Promise.resolve([]);
  }
}

async function profiles(): Promise<readonly Fact[]> {
  const files = await entriesOf(`${pathsOf(pathContext()).config}/profiles`);
  const names = files.flatMap(({ name }) => /^(.+)\.(?:toml|token)$/.exec(name)?.[1] ?? []);
  return [...new Set(names)].map((name) => ({ name }));
}

async function entriesOf(folder: string): Promise<readonly Fact[]> {
  const entries: Fact[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (entries.push({ name }) === MAX_ENTRIES) break;
  }
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The first session that answers; the smaller socket comes second, since only strangers need it. */
async function resources(signal: AbortSignal): Promise<readonly Fact[]> {
  for (const { controlSocket, readSocket } of sessionPaths(pathContext())) {
    for (const socket of [controlSocket, readSocket]) {
      try {
        return await resourcesAt(socket, signal);
      } catch {
        if (signal.aborted) return [];
      }
    }
  }
  return [];
}

/** Asks without the schemas of the control API: loading them takes longer than all of this. */
async function resourcesAt(socket: string, signal: AbortSignal): Promise<readonly Fact[]> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const response = await fetch("http://fz/v1/resources", { client, signal });
  if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.length > MAX_ANSWER_BYTES) throw new Error("too long");
  }
  const { resources } = JSON.parse(text) as { readonly resources: readonly unknown[] };
  return resources.flatMap(factOf);
}

function factOf(resource: unknown): readonly Fact[] {
  if (typeof resource !== "object" || resource === null) return [];
  const { name, address } = resource as { readonly name?: unknown; readonly address?: unknown };
  if (typeof name !== "string") return [];
  return [typeof address === "string" && address !== name ? { name, note: address } : { name }];
}
