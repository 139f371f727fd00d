/** The registry of this machine, by advapi32.dll. */

import { arena } from "../memory.ts";
import { decodeValue, encodeValue, type Registry } from "./registry.ts";
import { advapi32, readU64, wide, withMemory } from "./symbols.ts";

/** The part below HKEY_LOCAL_MACHINE. */
export const nativeRegistry: Registry = {
  hasKey: (path) => withKey(path, KEY_READ, () => 0) === 0,
  read(path, name) {
    let value: ReturnType<Registry["read"]>;
    withKey(
      path,
      KEY_READ,
      (key) =>
        withMemory(wide(name), (_, label) =>
          withMemory(16 + MAX_VALUE, (at, type) => {
            arena.setU32(at + 8, MAX_VALUE);
            const data = arena.address(at + 16);
            const error = advapi32.RegQueryValueExW(key, label, 0n, type, data, arena.address(at + 8));
            if (error !== 0) return error;
            const length = Math.min(arena.getU32(at + 8), MAX_VALUE);
            value = decodeValue(arena.getU32(at), arena.bytes.slice(at + 16, at + 16 + length));
            return 0;
          })),
    );
    return value;
  },
  write(path, name, value) {
    const { type, bytes } = encodeValue(value);
    return withNewKey(path, (key) =>
      withMemory(
        wide(name),
        (_, label) =>
          withMemory(
            bytes,
            (_, data) => advapi32.RegSetValueExW(key, label, 0, type, data, bytes.length),
          ),
      ));
  },
  removeValue: (path, name) =>
    withKey(
      path,
      KEY_WRITE,
      (key) => withMemory(wide(name), (_, label) => advapi32.RegDeleteValueW(key, label)),
    ),
  removeKey: (path) => withMemory(wide(path), (_, text) => advapi32.RegDeleteTreeW(HKEY_LOCAL_MACHINE, text)),
};

/** Returns the error number of opening, or that of `use`. */
function withKey(path: string, access: number, use: (key: bigint) => number): number {
  return withMemory(
    wide(path),
    (_, text) =>
      withMemory(
        8,
        (at, out) =>
          advapi32.RegOpenKeyExW(HKEY_LOCAL_MACHINE, text, 0, access, out) || used(readU64(at), use),
      ),
  );
}

function withNewKey(path: string, use: (key: bigint) => number): number {
  return withMemory(
    wide(path),
    (_, text) =>
      withMemory(
        8,
        (at, out) =>
          advapi32.RegCreateKeyExW(HKEY_LOCAL_MACHINE, text, 0, 0n, 0, KEY_WRITE, 0n, out, 0n) ||
          used(readU64(at), use),
      ),
  );
}

function used(key: bigint, use: (key: bigint) => number): number {
  try {
    return use(key);
  } finally {
    advapi32.RegCloseKey(key);
  }
}

/** As the header has it: a negative number of 32 bits, made one of 64. */
const HKEY_LOCAL_MACHINE = 0xffff_ffff_8000_0002n;
/** With the 64-bit view, whatever this program is. */
const KEY_WOW64_64KEY = 0x100;
const KEY_READ = 0x2_0019 | KEY_WOW64_64KEY;
const KEY_WRITE = 0x2_0006 | KEY_WOW64_64KEY;
const MAX_VALUE = 4096;
