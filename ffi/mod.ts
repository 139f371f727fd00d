/** Picks the folder of the operating system. Loaded on demand: opening the native library takes some milliseconds. */

import { Fault } from "../lib/base/fault.ts";
import type { Platform } from "./platform.ts";

/** Returns the platform that this program runs on. Throws a Fault where there is none. */
export async function platform(): Promise<Platform> {
  switch (Deno.build.os) {
    case "linux":
      return (await import("./linux/mod.ts")).linux;
    case "darwin":
      return (await import("./darwin/mod.ts")).darwin;
    case "windows":
      return (await import("./windows/mod.ts")).windows;
    default:
      throw new Fault(
        "unexpected",
        `Cannot use the network of ${Deno.build.os}: only Linux, macOS and Windows are supported`,
      );
  }
}
