/** Where this program's own files are: what must stay readable to whoever is to run it. */

/** Returns the folders of its text, its runtime and its packages. */
export function programFolders(): readonly string[] {
  return Deno.build.standalone ? [] : [ROOT, dirname(Deno.execPath()), cacheFolder()];
}

/** Returns files and folders that stand for all of it, closed homes and private copies included. */
export function programFiles(): readonly string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  return [`${ROOT}main.ts`, `${ROOT}deno.json`, Deno.execPath(), cacheFolder(), `${cacheFolder()}/npm`];
}

/** Where the runtime keeps the packages that it runs; services have no home to look in. */
export function cacheFolder(): string {
  const given = Deno.env.get("DENO_DIR");
  if (given !== undefined && given !== "") return given;
  const home = Deno.env.get("HOME") ?? "/root";
  return Deno.build.os === "darwin"
    ? `${home}/Library/Caches/deno`
    : `${Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`}/deno`;
}

/** Folder of the program's text, with a slash at its end. */
export const ROOT = new URL("..", import.meta.url).pathname;

function dirname(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
