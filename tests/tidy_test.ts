import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname;
const PRODUCT = ["cli", "ffi", "io", "lib"];
const ALL = [...PRODUCT, "bench", "tests", "tools"];
const MAX_LINES = 500;

Deno.test("tidy: no file is longer than 500 lines", () => {
  assert.deepEqual(complaints(ALL, (text) => text.split("\n").length - 1 > MAX_LINES), []);
});

Deno.test("tidy: every file of the product opens by saying what it is", () => {
  assert.deepEqual(
    complaints(PRODUCT, (text) => !text.startsWith("/**") && !text.startsWith("// Copyright")),
    [],
  );
});

Deno.test("tidy: packages are named in deno.json alone, and come from npm", () => {
  const foreign = /(?:from|import)\s*\(?\s*["'](?:jsr|npm|https?):/;
  assert.deepEqual(complaints(ALL, (text) => foreign.test(text)), []);
  const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as {
    imports: Record<string, string>;
  };
  for (const [name, specifier] of Object.entries(imports)) {
    assert.match(specifier, /^npm:\/?(@[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+\/?$/, `${name} is pinned`);
  }
});

Deno.test("tidy: nothing is left half done", () => {
  const stub = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
  assert.deepEqual(complaints(ALL, (text) => stub.test(text)), []);
});

Deno.test("tidy: scripts of the shell are POSIX and parse", async () => {
  const { success, stderr } = await new Deno.Command("sh", { args: ["-n", `${ROOT}install.sh`] }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
});

function complaints(folders: readonly string[], isBad: (text: string) => boolean): string[] {
  return folders.flatMap((folder) => [...sources(folder)]).filter((path) =>
    isBad(Deno.readTextFileSync(ROOT + path))
  );
}

function* sources(folder: string): Generator<string> {
  for (const entry of readFolder(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (entry.name.endsWith(".ts") && !path.includes("/vectors/")) yield path;
  }
}

function readFolder(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(ROOT + folder)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
