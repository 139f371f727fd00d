/** Tests that share one network, and waiting for what happens on it. */

import { inLab } from "../../../io/lab/lab.ts";
import { Network, type NetworkOptions } from "./network.ts";

/** One check on a running network, reported under its own name. */
export type Check = (name: string, body: () => Promise<void>) => Promise<void>;

/** Returns the body of a test that runs on a network of its own; a failed check tells what the roles logged. */
export function onNetwork(
  options: NetworkOptions,
  body: (network: Network, check: Check) => Promise<void>,
): (context: Deno.TestContext) => Promise<void> {
  return (context) =>
    inLab(async (lab) => {
      const network = await Network.start(lab, options);
      try {
        await body(network, async (name, run) => {
          await context.step(name, () => run().catch((error) => network.explain(error)));
        });
      } catch (error) {
        network.explain(error);
      }
    });
}

/** Tries `attempt` until it does not throw and returns its result; throws its last error after `timeoutMs`. */
export async function eventually<T>(attempt: () => Promise<T> | T, timeoutMs = 10_000): Promise<T> {
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
