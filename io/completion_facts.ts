/** Names for the shell's completion, from the running session and from the machine; quickly, or not at all. */

import type { Duration } from "../lib/base/time.ts";
import type { CompletionFacts, Fact, FactKind } from "../lib/control/completion.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { connectControl } from "./control/client.ts";
import { profileNames } from "./config/names.ts";
import { pathContext } from "./path_context.ts";

/** Shells show a few hundred names at most. */
const MAX_ENTRIES = 1000;

/** Returns the names of `kinds` that can be had within `deadline`. Never throws: a shell has no use for an error. */
export async function completionFacts(
  kinds: readonly FactKind[],
  deadline: Duration,
): Promise<CompletionFacts> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<readonly Fact[]>((resolve) => {
    timer = setTimeout(resolve, deadline, []);
  });
  const entries = kinds.map(async (kind) => {
    const found = namesOf(kind).catch(() => []);
    return [kind, await Promise.race([found, late])] as const;
  });
  const facts = Object.fromEntries(await Promise.all(entries));
  clearTimeout(timer);
  return facts;
}

function namesOf(kind: FactKind): Promise<readonly Fact[]> {
  switch (kind) {
    case "resource":
      return resources();
    case "profile":
      return profiles();
    case "interface":
      return Deno.build.os === "linux" ? entriesOf("/sys/class/net") : Promise.resolve([]);
  }
}

async function profiles(): Promise<readonly Fact[]> {
  return (await profileNames(pathsOf(pathContext()))).map((name) => ({ name }));
}

async function entriesOf(folder: string): Promise<readonly Fact[]> {
  const entries: Fact[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (entries.push({ name }) === MAX_ENTRIES) break;
  }
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}

async function resources(): Promise<readonly Fact[]> {
  const control = await connectControl("read");
  const { resources } = await control.ask("resources", {});
  return resources.map(({ name, address }) =>
    address === undefined || address === name ? { name } : { name, note: address }
  );
}
