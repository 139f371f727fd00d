/**
 * Type-checks the repository and runs its tests: `deno run -A tools/test.ts [ok | test | e2e [FILE…]]`. The last line is
 * "N passed, N failed", with ", N skipped" where this machine lacks what some need; the exit code is 0 only if something
 * passed and nothing failed.
 */

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed, by file and name. */
  readonly failures: readonly string[];
}

const ROOT = new URL("..", import.meta.url).pathname;
/** Tests of the pure core: they get no permission, so that a touch of the world outside fails. */
const PURE = ["tests/lib", "tests/sim", "tests/scenarios"];
const E2E = "tests/e2e";

/** In files of tests that start a systemd. */
const STARTS_SYSTEMD = /support\/(systemd|resolved_server)\.ts/;

/** How many files of kernel tests run at a time. */
const PARALLEL = 2;

/** Where the clone is seen by all users, for tests that run a program as another one; followed by this process's id. */
const OPEN_PLACE = "/mnt/fz-tests-";

Deno.chdir(ROOT);
Deno.exit(await inTheOpen(Deno.args) ?? await main(Deno.args));

/**
 * Runs this again with the clone bound to a folder that everybody may enter, in mounts of its own, if the clone is in one
 * that only root may, /root of a fresh machine, or below /tmp, of which a service has its own. Returns its exit code;
 * undefined if there was no need or no way.
 */
async function inTheOpen(args: readonly string[]): Promise<number | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0 || isOpen(ROOT)) return undefined;
  const script = 'mkdir -p -m 755 "$2" && mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"';
  const mounts = ["--mount", "--propagation", "private"];
  const isPossible =
    (await new Deno.Command("unshare", { args: [...mounts, "true"], stderr: "null" }).output()).success;
  if (!isPossible) return undefined;
  const again = [Deno.execPath(), "run", "-A", "tools/test.ts", ...args];
  // A folder for each run: to remove one takes away what is mounted there in all other namespaces.
  const place = `${OPEN_PLACE}${Deno.pid}`;
  const code = await run(["unshare", ...mounts, "sh", "-c", script, "open", ROOT, place, ...again]);
  await Deno.remove(place).catch(() => {});
  return code;
}

function isOpen(path: string): boolean {
  if (path.startsWith("/tmp/")) return false;
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
    tallies.push(await testEachIsolated(files.length > 0 ? files : testsIn(E2E)));
  }
  const { passed, failed, skipped, failures } = sum(tallies);
  // Here too, because a long log is often kept by its end alone.
  for (const failure of failures) console.log(`\nfailed: ${failure}`);
  console.log(`\n${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

/** Runs a step that is no test; it counts only when it fails. */
async function step(command: readonly string[]): Promise<Tally> {
  console.log(`\n== ${command.join(" ")}`);
  const isGood = await run(command) === 0;
  return { passed: 0, failed: isGood ? 0 : 1, skipped: 0, failures: isGood ? [] : [command.join(" ")] };
}

async function test(title: string, flags: readonly string[], paths: readonly string[]): Promise<Tally> {
  console.log(`\n== ${title}: deno test ${flags.join(" ")} ${paths.join(" ")}`);
  return await reported(title, async (report) => await run(["deno", ...testArguments(report, flags, paths)]));
}

/**
 * Runs each file in namespaces of its own, some at a time: most of a kernel test is waiting. What a file prints comes in
 * one piece when it has ended, or at once if there is only one.
 */
async function testEachIsolated(files: readonly string[]): Promise<Tally> {
  const tallies: Tally[] = [];
  const waiting = [...files];
  let systemd: Promise<unknown> = Promise.resolve();
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const path = file;
      const once = async () => {
        tallies.push(await testIsolated(path, files.length === 1));
      };
      // The control groups of two first processes would be the same ones.
      if (!STARTS_SYSTEMD.test(await Deno.readTextFile(path))) await once();
      else await (systemd = systemd.then(once));
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, files.length) }, work));
  return sum(tallies);
}

async function testIsolated(file: string, isAlone: boolean): Promise<Tally> {
  const title = `\n== e2e: deno test --allow-all ${file}`;
  if (isAlone) console.log(title);
  return await reported(file, async (report) => {
    const command = [Deno.execPath(), ...testArguments(report, ["--allow-all"], [file])];
    // Nothing goes on when this is killed.
    const args = [
      "--pdeathsig",
      "KILL",
      Deno.execPath(),
      "run",
      "-A",
      "--quiet",
      "tools/isolated.ts",
      ...command,
    ];
    const stdio = isAlone ? "inherit" : "piped";
    const process = new Deno.Command("setpriv", {
      args,
      stdin: "null",
      stdout: stdio,
      stderr: stdio,
    });
    if (isAlone) return (await process.spawn().status).code;
    const { code, stdout, stderr } = await process.output();
    const decoder = new TextDecoder();
    console.log(`${title}\n${decoder.decode(stdout)}${decoder.decode(stderr)}`.trimEnd());
    return code;
  });
}

function testArguments(report: string, flags: readonly string[], paths: readonly string[]): string[] {
  return ["test", "--quiet", "--frozen", `--junit-path=${report}`, ...flags, ...paths];
}

/**
 * Runs `work`, which writes a JUnit report to the file it is given and returns an exit code; counts what it says.
 * `title` names the run where it failed without a failed test.
 */
async function reported(title: string, work: (report: string) => Promise<number>): Promise<Tally> {
  const report = await Deno.makeTempFile({ prefix: "fz-test-", suffix: ".xml" });
  try {
    const code = await work(report);
    return count(title, await Deno.readTextFile(report), code);
  } finally {
    await Deno.remove(report);
  }
}

/** Reads the totals of a JUnit report. A run that failed without a failed test (it did not compile) is one failure. */
function count(title: string, report: string, code: number): Tally {
  const total = /<testsuites [^>]*tests="(\d+)"[^>]*failures="(\d+)"[^>]*errors="(\d+)"/.exec(report);
  const skipped = [...report.matchAll(/<skipped/g)].length;
  const [tests, failures, errors] = total === null
    ? [0, 0, 0]
    : total.slice(1).map(Number) as [number, number, number];
  const failed = failures + errors;
  if (failed === 0 && code !== 0) return { passed: tests - skipped, failed: 1, skipped, failures: [title] };
  return { passed: tests - failed - skipped, failed, skipped, failures: failedCases(report) };
}

/** "tests/e2e/up_test.ts: fz up: connects in the background": the cases of a JUnit report that failed. */
function failedCases(report: string): string[] {
  const cases = report.matchAll(/<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*<(?:failure|error)/g);
  const characters: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return [...cases].map(([, name, file]) =>
    `${file}: ${name}`.replace(/^\.\//, "").replace(/&(\w+);/g, (entity, key) => characters[key] ?? entity)
  );
}

function sum(tallies: readonly Tally[]): Tally {
  const total = (field: "passed" | "failed" | "skipped") =>
    tallies.reduce((all, tally) => all + tally[field], 0);
  return {
    passed: total("passed"),
    failed: total("failed"),
    skipped: total("skipped"),
    failures: tallies.flatMap((tally) => tally.failures),
  };
}

async function run(command: readonly string[]): Promise<number> {
  const program = command[0] === "deno" ? Deno.execPath() : command[0]!;
  return (await new Deno.Command(program, { args: command.slice(1) }).spawn().status).code;
}

function testFolders(): string[] {
  return [...Deno.readDirSync("tests")]
    .filter((entry) => entry.isDirectory ? entry.name !== "vectors" : entry.name.endsWith("_test.ts"))
    .map((entry) => `tests/${entry.name}`)
    .filter((path) => path.endsWith(".ts") || hasTests(path))
    .sort();
}

function testsIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)]
    .filter(({ name }) => name.endsWith("_test.ts"))
    .map(({ name }) => `${folder}/${name}`)
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
