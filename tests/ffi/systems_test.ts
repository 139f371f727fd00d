/** Systems are apart: what one folder needs of another is in `ffi/` itself, and native libraries open on their system only. */

import assert from "node:assert/strict";

const FFI = new URL("../../ffi/", import.meta.url);
const SYSTEMS = ["linux", "darwin", "windows"];

Deno.test("ffi: no system's folder imports another's", () => {
  for (const system of SYSTEMS) {
    for (const [path, text] of sources(new URL(`${system}/`, FFI))) {
      for (const [, specifier] of text.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
        const target = new URL(specifier!, path).pathname;
        const other = SYSTEMS.find((name) => name !== system && target.includes(`/ffi/${name}/`));
        assert.equal(other, undefined, `${path.pathname} imports ${specifier}`);
      }
    }
  }
});

Deno.test("ffi/darwin: what is tested on other systems opens no library", () => {
  assert.deepEqual(openers("darwin"), [
    "clock.ts",
    "mod.ts",
    "native_kernel.ts",
    "network_monitor.ts",
    "poller.ts",
    "symbols.ts",
    "tun.ts",
    "udp.ts",
  ]);
});

Deno.test("ffi/windows: what is tested on other systems opens no library", () => {
  assert.deepEqual(openers("windows"), [
    "clock.ts",
    "mod.ts",
    "native_dns.ts",
    "native_kernel.ts",
    "native_registry.ts",
    "network_monitor.ts",
    "poller.ts",
    "privileges.ts",
    "process_start.ts",
    "symbols.ts",
    "tun.ts",
    "udp.ts",
    "wintun.ts",
  ]);
});

/** Returns the names of a folder's files that have symbols or import those that do, directly or not. */
function openers(system: string): string[] {
  const native = new Set<string>();
  const all = new Map([...sources(new URL(`${system}/`, FFI))].map(([path, text]) => [path.pathname, text]));
  for (let before = -1; before !== native.size;) {
    before = native.size;
    for (const [path, text] of all) {
      const imports = [...text.matchAll(/from "(\.\/[^"]+)"/g)].map(([, specifier]) =>
        new URL(specifier!, `file://${path}`).pathname
      );
      if (/Deno\.dlopen/.test(text) || imports.some((target) => native.has(target))) native.add(path);
    }
  }
  return [...native].map((path) => path.slice(path.lastIndexOf("/") + 1)).sort();
}

function* sources(folder: URL): Generator<[URL, string]> {
  let entries: Deno.DirEntry[] = [];
  try {
    entries = [...Deno.readDirSync(folder)];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const { name, isDirectory } of entries) {
    if (isDirectory) yield* sources(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) {
      yield [new URL(name, folder), Deno.readTextFileSync(new URL(name, folder))];
    }
  }
}

Deno.test("io, cli: nothing opens a library of one system just by being imported", () => {
  const root = new URL("../../", import.meta.url);
  const texts = new Map(
    ["ffi/", "io/", "cli/", "lib/"].flatMap((folder) => [...sources(new URL(folder, root))])
      .map(([path, text]) => [path.pathname, text]),
  );
  const importsOf = (path: string) =>
    [...(texts.get(path) ?? "").matchAll(/^(?:import|export)\s(?!type\b)[^;]*?from "(\.[^"]+)"/gm)]
      .map(([, specifier]) => new URL(specifier!, `file://${path}`).pathname);
  const opens = (path: string, seen = new Set<string>()): boolean => {
    if (seen.has(path)) return false;
    seen.add(path);
    return /\bDeno\.dlopen\(/.test(texts.get(path) ?? "") ||
      importsOf(path).some((next) => opens(next, seen));
  };
  const guilty: string[] = [];
  for (const path of texts.keys()) {
    // main.ts loads it on Linux alone.
    if (path.includes("/ffi/") || path.endsWith("/io/reduced.ts")) continue;
    for (const target of importsOf(path)) {
      if (/\/ffi\/(linux|darwin|windows)\//.test(target) && opens(target)) guilty.push(`${path} → ${target}`);
    }
  }
  assert.deepEqual(guilty, []);
});
