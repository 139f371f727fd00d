/**
 * What it costs to start: `deno task bench:cli [ROUNDS]`. Each command line is timed from outside, beside the bare runtime
 * with an empty file, in interleaved rounds, so that what else the machine does falls on all of them alike.
 */

import { named } from "../tests/io/completion_shell.ts";
import { STATUS, withControl } from "../tests/io/control_fixture.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const DEFAULT_ROUNDS = 21;

interface Case {
  readonly title: string;
  readonly args: readonly string[];
  /** Exit codes that mean it did what is measured. */
  readonly codes: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
}

const fz = (title: string, args: readonly string[], ...codes: readonly number[]): Case => ({
  title,
  args: ["run", "--quiet", "--no-prompt", "-A", "--frozen", "--config", CONFIG, MAIN, ...args],
  codes: codes.length === 0 ? [0] : codes,
});

const folder = await Deno.makeTempDir({ prefix: "fz-bench-" });
try {
  const empty = `${folder}/empty.ts`;
  await Deno.writeTextFile(empty, "");
  // The real control server, with a session behind it that has nothing else to do.
  const resources = () => named(Array.from({ length: 50 }, (_, index) => `resource ${index}`));
  await withControl({ handlers: { status: () => STATUS, resources } }, async ({ paths }) => {
    const running = { FZ_RUNTIME_DIR: paths.runtime };
    await measure([
      { title: "bare runtime, empty file", args: ["run", "--quiet", "-A", "--no-config", empty], codes: [0] },
      fz("fz --version", ["--version"]),
      fz("fz version", ["version"]),
      fz("fz --help", ["--help"]),
      fz("fz run --help", ["run", "--help"]),
      fz("fz status, no session", ["status"], 12),
      { ...fz("fz status, session running", ["status"]), env: running },
      fz("completion: fz st", ["completions", "fish", "--", "st"]),
      fz("completion: fz run --l", ["completions", "fish", "--", "run", "--l"]),
      fz("completion: a resource, no session", ["completions", "fish", "--", "ping", ""]),
      { ...fz("completion: a resource, of 50", ["completions", "fish", "--", "ping", ""]), env: running },
    ]);
  });
} finally {
  await Deno.remove(folder, { recursive: true });
}

async function measure(cases: readonly Case[]): Promise<void> {
  const rounds = Number(Deno.args[0] ?? DEFAULT_ROUNDS);
  const times = cases.map((): number[] => []);
  for (const entry of cases) await time(entry);
  for (let round = 0; round < rounds; round++) {
    for (const [index, entry] of cases.entries()) times[index]!.push(await time(entry));
  }
  print(cases, times, rounds);
}

/** Returns the time from start to end in ms. */
async function time({ title, args, codes, env = {} }: Case): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    // A folder without a session, whatever runs on this machine.
    env: { FZ_RUNTIME_DIR: folder, FZ_CONFIG_DIR: folder, FZ_STATE_DIR: folder, ...env },
    stdin: "null",
  }).output();
  const duration = performance.now() - start;
  if (!codes.includes(code)) {
    throw new Error(`${title}: exit code ${code}: ${new TextDecoder().decode(stderr)}`);
  }
  return duration;
}

function print(cases: readonly Case[], times: readonly (readonly number[])[], rounds: number): void {
  const bare = median(times[0]!);
  const width = Math.max(...cases.map(({ title }) => title.length));
  console.log(`start to end in ms, ${rounds} interleaved rounds, Deno ${Deno.version.deno}\n`);
  console.log(`${"".padEnd(width)}  median     min     p90   × bare`);
  for (const [index, { title }] of cases.entries()) {
    const sorted = [...times[index]!].sort((a, b) => a - b);
    const middle = median(sorted);
    const cells = [middle, sorted[0]!, sorted[Math.floor(sorted.length * 0.9)]!].map((value) =>
      value.toFixed(1).padStart(7)
    );
    console.log(`${title.padEnd(width)} ${cells.join(" ")}  ${(middle / bare).toFixed(2).padStart(6)}`);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
