/** Picks the folder of the operating system. Loaded on demand: opening the native library takes some milliseconds. */

import { Fault } from "../lib/base/fault.ts";
import type { Platform } from "./platform.ts";

/** Returns the platform that this program runs on. Throws a Fault where there is none. */
export async function platform(): Promise<Platform> {
  if (Deno.build.os !== "linux") {
    throw new Fault("unexpected", `Cannot use the network of ${Deno.build.os}: only Linux is supported`);
  }
  return (await import("./linux/mod.ts")).linux;
}
