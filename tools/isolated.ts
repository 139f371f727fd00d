/** Runs the command in its arguments in namespaces of its own: `deno run -A tools/isolated.ts ip link`. */

import { runIsolated } from "../io/lab/isolation.ts";
import { Fault } from "../lib/base/fault.ts";

try {
  Deno.exit(await runIsolated(Deno.args));
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.error([error.message, error.next].join("\n"));
  Deno.exit(6);
}
