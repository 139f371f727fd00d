/** When a process started, as the kernel knows it (processthreadsapi.h). Opens nothing but what that needs: commands ask. */

const { symbols } = Deno.dlopen(
  "kernel32.dll",
  {
    CloseHandle: { parameters: ["u64"], result: "i32" },
    GetExitCodeProcess: { parameters: ["u64", "buffer"], result: "i32" },
    GetLastError: { parameters: [], result: "u32" },
    GetProcessTimes: { parameters: ["u64", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
    OpenProcess: { parameters: ["u32", "i32", "u32"], result: "u64" },
  } as const,
);

/** A process lives, and started then; or it is somebody's who lets nobody look; or it is gone. */
export type ProcessTrace =
  | { readonly type: "alive"; readonly start: string }
  | { readonly type: "hidden" }
  | { readonly type: "gone" };

/** Returns what is to be seen of the process `pid`. */
export function traceProcess(pid: number): ProcessTrace {
  const handle = symbols.OpenProcess(QUERY_LIMITED_INFORMATION, 0, pid);
  if (handle === 0n) return { type: symbols.GetLastError() === ACCESS_DENIED ? "hidden" : "gone" };
  try {
    // A process that has ended can be opened as long as anybody holds it.
    const code = new Uint32Array(1);
    if (symbols.GetExitCodeProcess(handle, bytesOf(code)) !== 0 && code[0] !== STILL_ACTIVE) {
      return { type: "gone" };
    }
    const times = Array.from({ length: 4 }, () => new BigUint64Array(1));
    const [created, exited, kernel, user] = times.map(bytesOf);
    const known = symbols.GetProcessTimes(handle, created!, exited!, kernel!, user!);
    return known === 0 ? { type: "hidden" } : { type: "alive", start: String(times[0]![0]) };
  } finally {
    symbols.CloseHandle(handle);
  }
}

function bytesOf(
  { buffer }: Uint32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer);
}

const QUERY_LIMITED_INFORMATION = 0x1000;
const ACCESS_DENIED = 5;
const STILL_ACTIVE = 259;
