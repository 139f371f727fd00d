/** What `fz version --verbose` tells about the runtime and the machine. */

import { chooseProvider, loadProvider, PROVIDERS } from "./crypto.ts";

/** Returns facts by label, in the order of printing. Never throws: what cannot be found out is left out. */
export async function versionFacts(): Promise<Record<string, string>> {
  const providers = await Promise.all(PROVIDERS.map(loadProvider));
  const chosen = await chooseProvider().catch(() => undefined);
  return {
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    typescript: Deno.version.typescript,
    target: Deno.build.target,
    kernel: Deno.osRelease(),
    crypto: chosen?.name ?? "none",
    "crypto found": providers.flatMap((provider) => provider?.name ?? []).join(", "),
    offloads: (await offloads()).join(", ") || "none",
    ...tunFacts(),
  };
}

async function offloads(): Promise<string[]> {
  if (Deno.build.os !== "linux") return [];
  try {
    return (await import("../ffi/linux/offloads.ts")).kernelOffloads();
  } catch {
    return [];
  }
}

function tunFacts(): Record<string, string> {
  try {
    const { mode } = Deno.statSync("/dev/net/tun");
    return { "/dev/net/tun": `mode ${((mode ?? 0) & 0o777).toString(8)}` };
  } catch {
    return { "/dev/net/tun": "missing" };
  }
}
