/** The kernel's limits of socket buffers, raised on request; what was there is put back with `undo`. */

import type { Log } from "../../lib/base/log.ts";
import { Sysctls } from "./sysctl.ts";

/** As upstream's `--inc-buf`. */
const WANTED_BYTES = 128 * 1024 * 1024;

const SETTINGS = ["net/core/rmem_max", "net/core/wmem_max"];

/** Raises the limits where they are lower, and returns what undoes that. `statePath` survives a killed process. */
export async function raiseSocketBuffers(statePath: string, log: Log): Promise<() => Promise<void>> {
  const sysctls = new Sysctls({ statePath, log });
  const changes = [];
  for (const path of SETTINGS) {
    const value = await sysctls.read(path);
    if (value !== undefined && Number(value) < WANTED_BYTES) changes.push({ path, value: `${WANTED_BYTES}` });
  }
  const failed = await sysctls.apply(changes);
  if (failed.length > 0) log.warn("cannot raise the limits of socket buffers", { failed: failed.length });
  return () => sysctls.undo();
}
