/** Tests that share one network, and waiting for what happens on it. */

import { inLab } from "../../../io/lab/lab.ts";
import { Network, type NetworkOptions } from "./network.ts";
import { PATIENCE_MS } from "./patience.ts";

/** One check on a running network, reported under its own name. */
export interface Check {
  (name: string, body: () => Promise<void>): Promise<void>;
  /** Reports what cannot be checked on this machine, and why; it is counted as skipped. */
  skip(reason: string): Promise<void>;
}

/** Returns the body of a test that runs on a network of its own; a failed check tells what the roles logged. */
export function onNetwork(
  options: NetworkOptions,
  body: (network: Network, check: Check) => Promise<void>,
): (context: Deno.TestContext) => Promise<void> {
  return (context) =>
    inLab(async (lab) => {
      const network = await Network.start(lab, options);
      try {
        const check = async (name: string, run: () => Promise<void>) => {
          await context.step(name, () => run().catch((error) => network.explain(error)));
        };
        const skip = async (reason: string) => {
          await context.step({ name: reason.replaceAll("\n", " "), ignore: true, fn: () => {} });
        };
        await body(network, Object.assign(check, { skip }));
      } catch (error) {
        network.explain(error);
      }
    });
}

/** Tries `attempt` until it does not throw and returns its result; throws its last error after `timeoutMs`. */
export async function eventually<T>(attempt: () => Promise<T> | T, timeoutMs = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(100);
    }
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
