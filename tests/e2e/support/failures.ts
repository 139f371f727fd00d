/** Commands that must fail: by which exit code, with which sentence, and what they tell to do next. */

import assert from "node:assert/strict";
import type { Host } from "../../../io/lab/host.ts";
import type { Outcome } from "../../../io/lab/process.ts";

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;

/** How a command is run that must fail, and what it must say. */
export interface Failure {
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command line that follows it. */
  readonly by?: readonly string[];
  readonly input?: string;
  /** The sentence. */
  readonly says: RegExp;
  /** What to do next. */
  readonly next?: RegExp;
  /** Whether it is run with `--json`, too: standard output then has whole documents, or nothing. */
  readonly json?: boolean;
}

/** Runs a command and asserts that it fails by `code` and as described. */
export type Fails = (code: number, args: readonly string[], failure: Failure) => Promise<void>;

/** The codes that commands have ended with. */
export const provoked = new Set<number>();

/** Returns what runs commands on `host` in an environment that has `env` and nothing else of fz. */
export function failuresOn(host: Host, env: Readonly<Record<string, string>>): Fails {
  return async (code, args, failure) => {
    const forms = failure.json === true ? [args, [...args, "--json"]] : [args];
    await Promise.all(forms.map(async (form) => {
      const { by = [], input } = failure;
      const run = (args: readonly string[]) =>
        host.run([...by, Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args], {
          env: { ...basics(), ...env, ...failure.env },
          ...(input === undefined ? {} : { input }),
        });
      let outcome = await run(form);
      // On a busy machine the time is up before it comes so far, and another obstacle is told of.
      const limit = form.indexOf("--timeout") + 1;
      if (limit > 0 && !(outcome.code === code && failure.says.test(outcome.stderr))) {
        outcome = await run(form.with(limit, "60s"));
      }
      assertTells(outcome, code, failure, form.at(-1) === "--json");
      provoked.add(outcome.code);
    }));
  };
}

function assertTells(outcome: Outcome, code: number, { says, next = /\S/ }: Failure, isJson: boolean): void {
  const { stdout, stderr } = outcome;
  assert.equal(outcome.code, code, `${stdout}${stderr}`);
  const lines = stderr.trimEnd().split("\n");
  const at = lines.findLastIndex((line) => line.startsWith("fz: "));
  assert.ok(at >= 0, stderr);
  assert.match(lines[at]!, says);
  const steps = lines.slice(at + 1);
  assert.equal(steps.length, 1, stderr);
  assert.match(steps[0]!, /^ {4}\S.*[.?]$/);
  assert.match(steps[0]!, next);
  assert.doesNotMatch(stdout + stderr, /t0ken|-token\b/);
  if (isJson) {
    for (const line of stdout.split("\n").slice(0, -1)) assert.equal(JSON.parse(line).schema, 1, line);
    assert.ok(stdout === "" || stdout.endsWith("\n"));
  }
}

/** What the runtime needs to find its cache. */
function basics(): Record<string, string> {
  const home = Deno.env.get("HOME") ?? "/root";
  return { HOME: home, DENO_DIR: Deno.env.get("DENO_DIR") ?? `${home}/.cache/deno` };
}
