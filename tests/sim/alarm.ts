/** Calls a machine when it wants to be called, in virtual time. */

import type { Wake } from "../../lib/base/time.ts";
import type { Simulation } from "./simulation.ts";

export class SimAlarm {
  readonly #simulation: Simulation;
  readonly #ring: () => void;
  #armedAt: number | undefined;

  constructor(simulation: Simulation, ring: () => void) {
    this.#simulation = simulation;
    this.#ring = ring;
  }

  /** Moves the alarm to `wake`. Too early a ring is harmless, so an earlier one is left standing. */
  set(wake: Wake | undefined): void {
    if (wake === undefined || (this.#armedAt !== undefined && this.#armedAt <= wake.at)) return;
    const at = Math.max(wake.at, this.#simulation.now);
    this.#armedAt = at;
    this.#simulation.scheduleAt(at, () => {
      if (this.#armedAt !== at) return;
      this.#armedAt = undefined;
      this.#ring();
    });
  }
}
