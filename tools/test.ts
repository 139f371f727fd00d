/**
 * Type-checks the repository and runs its tests: `deno run -A tools/test.ts [ok | test | e2e [FILE…]]`. The last line is
 * "N passed, N failed"; the exit code is 0 only if something passed and nothing failed.
 */

import { runIsolated } from "../io/lab/isolation.ts";
import { Fault } from "../lib/base/fault.ts";

interface Tally {
  readonly passed: number;
  readonly failed: number;
}

const ROOT = new URL("..", import.meta.url).pathname;
/** Tests of the pure core: they get no permission, so that a touch of the world outside fails. */
const PURE = ["tests/lib", "tests/sim", "tests/scenarios"];
const E2E = "tests/e2e";

/** Where the clone is seen by all users, for tests that run a program as another one. */
const OPEN_PLACE = "/mnt/fz-tests";

Deno.chdir(ROOT);
Deno.exit(await inTheOpen(Deno.args) ?? await main(Deno.args));

/**
 * Runs this again with the clone bound to a folder that everybody may enter, in mounts of its own, if the clone is in one
 * that only root may: /root of a fresh machine. Returns its exit code; undefined if there was no need or no way.
 */
async function inTheOpen(args: readonly string[]): Promise<number | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || isOpen(ROOT)) return undefined;
  const script = 'mkdir -p "$2" && mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"';
  const mounts = ["--mount", "--propagation", "private"];
  const isPossible =
    (await new Deno.Command("unshare", { args: [...mounts, "true"], stderr: "null" }).output()).success;
  if (!isPossible) return undefined;
  const again = [Deno.execPath(), "run", "-A", "tools/test.ts", ...args];
  const code = await run(["unshare", ...mounts, "sh", "-c", script, "open", ROOT, OPEN_PLACE, ...again]);
  // The mount went with its namespace; another run may still use the folder.
  await Deno.remove(OPEN_PLACE).catch(() => {});
  return code;
}

function isOpen(path: string): boolean {
  const OTHERS_ENTER = 0o001;
  const parts = path.split("/").filter((part) => part !== "");
  return parts.every((_, index) =>
    ((Deno.statSync(`/${parts.slice(0, index + 1).join("/")}`).mode ?? 0) & OTHERS_ENTER) !== 0
  );
}

async function main([mode = "test", ...files]: string[]): Promise<number> {
  const tallies: Tally[] = [];
  if (mode === "ok") {
    tallies.push(await step(["deno", "fmt", "--check", "--quiet"]));
    tallies.push(await step(["deno", "lint", "--quiet"]));
  }
  if (mode !== "e2e") {
    tallies.push(await step(["deno", "check", "--quiet", "--frozen", "."]));
    const pure = PURE.filter(exists);
    if (pure.length > 0) tallies.push(await test("pure", ["--parallel", "--no-prompt"], pure));
    const rest = testFolders().filter((path) => !PURE.includes(path) && path !== E2E);
    tallies.push(await test("shell", ["--allow-all"], rest));
  }
  if (mode !== "ok" && exists(E2E)) {
    tallies.push(await test("e2e", ["--allow-all"], files.length > 0 ? files : [E2E], isolated));
  }
  const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
  const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Runs a step that is no test; it counts only when it fails. */
async function step(command: readonly string[]): Promise<Tally> {
  console.log(`\n== ${command.join(" ")}`);
  return { passed: 0, failed: await run(command) === 0 ? 0 : 1 };
}

async function test(
  title: string,
  flags: readonly string[],
  paths: readonly string[],
  runner: (command: readonly string[]) => Promise<number> = run,
): Promise<Tally> {
  console.log(`\n== ${title}: deno test ${flags.join(" ")} ${paths.join(" ")}`);
  const report = await Deno.makeTempFile({ prefix: "fz-test-", suffix: ".xml" });
  try {
    const code = await runner([
      "deno",
      "test",
      "--quiet",
      "--frozen",
      `--junit-path=${report}`,
      ...flags,
      ...paths,
    ]);
    return count(await Deno.readTextFile(report), code);
  } finally {
    await Deno.remove(report);
  }
}

/** Reads the totals of a JUnit report. A run that failed without a failed test (it did not compile) is one failure. */
function count(report: string, code: number): Tally {
  const total = /<testsuites [^>]*tests="(\d+)"[^>]*failures="(\d+)"[^>]*errors="(\d+)"/.exec(report);
  const skipped = [...report.matchAll(/<skipped/g)].length;
  const [tests, failures, errors] = total === null
    ? [0, 0, 0]
    : total.slice(1).map(Number) as [number, number, number];
  const failed = failures + errors;
  return { passed: tests - failed - skipped, failed: failed === 0 && code !== 0 ? 1 : failed };
}

async function run(command: readonly string[]): Promise<number> {
  const program = command[0] === "deno" ? Deno.execPath() : command[0]!;
  return (await new Deno.Command(program, { args: command.slice(1) }).spawn().status).code;
}

async function isolated(command: readonly string[]): Promise<number> {
  try {
    return await runIsolated([Deno.execPath(), ...command.slice(1)]);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    console.error([error.message, error.next].join("\n"));
    return 6;
  }
}

function testFolders(): string[] {
  return [...Deno.readDirSync("tests")]
    .filter((entry) => entry.isDirectory ? entry.name !== "vectors" : entry.name.endsWith("_test.ts"))
    .map((entry) => `tests/${entry.name}`)
    .filter((path) => path.endsWith(".ts") || hasTests(path))
    .sort();
}

function hasTests(folder: string): boolean {
  return [...Deno.readDirSync(folder)].some((entry) =>
    entry.isDirectory ? hasTests(`${folder}/${entry.name}`) : entry.name.endsWith("_test.ts")
  );
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory && hasTests(path);
  } catch {
    return false;
  }
}
