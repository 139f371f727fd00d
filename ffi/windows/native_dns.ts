/** What changing DNS needs of the real machine: registry, policies, and the cache of the DNS client. */

import type { DnsMachine } from "./dns.ts";
import { nativeKernel } from "./native_kernel.ts";
import { nativeRegistry } from "./native_registry.ts";
import { isElevated } from "./privileges.ts";

/** The machine. Its libraries are opened when they are first needed. */
export const nativeDnsMachine: DnsMachine = {
  registry: nativeRegistry,
  kernel: nativeKernel,
  isElevated,
  refreshPolicy() {
    userenv ??= Deno.dlopen(
      "userenv.dll",
      { RefreshPolicyEx: { parameters: ["i32", "u32"], result: "i32" } } as const,
    );
    userenv.symbols.RefreshPolicyEx(OF_THE_MACHINE, RP_FORCE);
  },
  flushCache() {
    dnsapi ??= Deno.dlopen(
      "dnsapi.dll",
      { DnsFlushResolverCache: { parameters: [], result: "i32" } } as const,
    );
    dnsapi.symbols.DnsFlushResolverCache();
  },
};

let userenv:
  | Deno.DynamicLibrary<{ RefreshPolicyEx: { parameters: ["i32", "u32"]; result: "i32" } }>
  | undefined;
let dnsapi: Deno.DynamicLibrary<{ DnsFlushResolverCache: { parameters: []; result: "i32" } }> | undefined;

const OF_THE_MACHINE = 1;
const RP_FORCE = 1;
