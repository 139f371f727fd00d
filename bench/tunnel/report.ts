/** Medians of all rounds, and the table made of them. */

import type { Sample } from "./sample.ts";

/** The figures of one tunnel. */
export interface Figures {
  readonly name: string;
  readonly version: string;
  readonly gbits: number;
  readonly cpuPerGb: number;
  readonly idleMs: Quantiles;
  readonly loadedMs: Quantiles;
  readonly idleMib: number;
  readonly loadedMib: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

/** Returns medians over all rounds; round trips of all rounds are taken together. */
export function summarise(name: string, version: string, samples: readonly Sample[]): Figures {
  const median = (pick: (sample: Sample) => number) => quantile(samples.map(pick), 0.5);
  return {
    name,
    version,
    gbits: median(({ gbits }) => gbits),
    cpuPerGb: median(({ cpuPerGb }) => cpuPerGb),
    idleMs: quantiles(samples.flatMap(({ idle }) => idle)),
    loadedMs: quantiles(samples.flatMap(({ loaded }) => loaded)),
    // Memory at rest is that before the first stream; afterwards a heap keeps what it has grown to.
    idleMib: samples[0]?.idleMib ?? NaN,
    loadedMib: Math.max(...samples.map(({ loadedMib }) => loadedMib)),
  };
}

/** Returns a Markdown table; ratios are those of the first row to each other one. */
export function table(all: readonly Figures[]): string {
  const [own] = all;
  const rows = all.map((figures) => [
    `${figures.name} (${figures.version})`,
    figures.gbits.toFixed(2),
    figures.cpuPerGb.toFixed(1),
    pair(figures.idleMs),
    pair(figures.loadedMs),
    `${figures.idleMib.toFixed(0)} / ${figures.loadedMib.toFixed(0)}`,
  ]);
  const lines = [HEADINGS, HEADINGS.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  const ratios = all.slice(1).map((other) =>
    `${own!.name} against ${other.name}: ${(own!.gbits / other.gbits).toFixed(2)} × its throughput, ` +
    `${(own!.cpuPerGb / other.cpuPerGb).toFixed(2)} × its CPU time per byte`
  );
  return [...lines, "", ...ratios].join("\n");
}

const HEADINGS = [
  "tunnel",
  "TCP, Gbit/s",
  "CPU, s/GB",
  "ping idle p50 / p99, ms",
  "ping loaded p50 / p99, ms",
  "memory idle / loaded, MiB",
];

function pair({ p50, p99 }: Quantiles): string {
  return `${p50.toFixed(2)} / ${p99.toFixed(2)}`;
}

function quantiles(values: readonly number[]): Quantiles {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}
