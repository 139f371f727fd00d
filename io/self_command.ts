/** How this program is run once more. */

/** Returns program and arguments before the ones of ours. */
export function selfCommand(): readonly string[] {
  const runtime = Deno.execPath();
  if (Deno.build.standalone) return [runtime];
  const root = new URL("..", import.meta.url).pathname;
  return [
    runtime,
    "run",
    "--quiet",
    "--no-prompt",
    "--allow-all",
    "--config",
    `${root}deno.json`,
    `${root}main.ts`,
  ];
}
