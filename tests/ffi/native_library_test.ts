import assert from "node:assert/strict";
import { candidates, type FileTrust, openLibrary } from "../../ffi/native_library.ts";

const NAMES = { linux: ["libx.so.2", "libx.so.1"], darwin: ["libx.dylib"] };

/** A Mac with Homebrew's copy, which belongs to user 501, and one of MacPorts, which is root's. */
function mac(modes: Readonly<Record<string, number>> = {}): FileTrust {
  const links: Readonly<Record<string, string>> = {
    "/opt/homebrew/lib/libx.dylib": "/opt/homebrew/Cellar/x/1/lib/libx.2.dylib",
    "/opt/local/lib/libx.dylib": "/opt/local/lib/libx.2.dylib",
  };
  return {
    realPath(path) {
      const target = links[path];
      if (target === undefined) throw new Deno.errors.NotFound();
      return target;
    },
    stat: (path) => ({ uid: path.startsWith("/opt/homebrew") ? 501 : 0, mode: modes[path] ?? 0o755 }),
  };
}

Deno.test("candidates: are each system's own names, in order", () => {
  assert.deepEqual(candidates(NAMES, "linux", 0, mac()), ["libx.so.2", "libx.so.1"]);
  assert.deepEqual(candidates(NAMES, "windows", 0, mac()), []);
  assert.equal(candidates(NAMES, "darwin", 501, mac())[0], "/opt/homebrew/lib/libx.dylib");
});

Deno.test("candidates: root opens on a Mac only what root alone can have written", () => {
  assert.deepEqual(candidates(NAMES, "darwin", 0, mac()), ["/opt/local/lib/libx.dylib"]);
  for (const path of ["/opt/local/lib/libx.2.dylib", "/opt/local/lib/libx.dylib", "/opt/local", "/opt"]) {
    assert.deepEqual(candidates(NAMES, "darwin", 0, mac({ [path]: 0o775 })), [], path);
  }
});

Deno.test("openLibrary: takes the first that opens, and throws if none does", () => {
  const symbols = { getpid: { parameters: [], result: "i32" } } as const;
  const names = { linux: ["libdoes-not-exist.so", "libc.so.6"], darwin: [] };
  const library = openLibrary(names, symbols);
  assert.equal(library.symbols.getpid(), Deno.pid);
  library.close();
  assert.throws(() => openLibrary({ linux: ["libdoes-not-exist.so"], darwin: [] }, symbols));
});
