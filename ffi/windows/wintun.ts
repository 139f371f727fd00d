/** Wintun's library (wintun.h, 0.14): opened when the first device is made. Handles and addresses are `u64`. */

import { noWintun, wintunPaths } from "./wintun_library.ts";

/** Its functions. */
export type Wintun = ReturnType<typeof open>["symbols"];

/** Returns the library. Throws a Fault ("tun") if there is none. */
export function wintun(): Wintun {
  return library ??= find();
}

let library: Wintun | undefined;

function find(): Wintun {
  const paths = wintunPaths({ env: (name) => Deno.env.get(name), program: Deno.execPath() });
  for (const path of paths) {
    try {
      return open(path).symbols;
    } catch {
      // Looked for elsewhere.
    }
  }
  throw noWintun(paths);
}

function open(path: string) {
  return Deno.dlopen(
    path,
    {
      WintunCreateAdapter: { parameters: ["u64", "u64", "u64"], result: "u64" },
      WintunCloseAdapter: { parameters: ["u64"], result: "void" },
      WintunGetAdapterLUID: { parameters: ["u64", "u64"], result: "void" },
      WintunStartSession: { parameters: ["u64", "u32"], result: "u64" },
      WintunEndSession: { parameters: ["u64"], result: "void" },
      WintunGetReadWaitEvent: { parameters: ["u64"], result: "u64" },
      WintunReceivePacket: { parameters: ["u64", "u64"], result: "u64" },
      WintunReleaseReceivePacket: { parameters: ["u64", "u64"], result: "void" },
      WintunAllocateSendPacket: { parameters: ["u64", "u32"], result: "u64" },
      WintunSendPacket: { parameters: ["u64", "u64"], result: "void" },
    } as const,
  );
}
