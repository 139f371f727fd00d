/** What a killed session leaves in files, undone by its journal, and by the guardian that outlives it. */

import assert from "node:assert/strict";
import { guardChange } from "../../ffi/linux/guardian.ts";
import { MARKER } from "../../ffi/linux/resolv_conf.ts";
import { undoChange } from "../../ffi/linux/undo.ts";
import { toBase64 } from "../../lib/base/bytes.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { Change } from "../../lib/host/journal.ts";

type FileChange = Extract<Change, { type: "file" }>;

const ORIGINAL = "nameserver 9.9.9.9\n\n# no line feed at the end: 'quotes' $HOME `x` \\n";
const OURS = `${MARKER}\nnameserver 100.100.111.1\noptions a b c d e f g h i j k l m n o p\n`;

/** The states that a session may have found, and ours in their place. */
const SCENES: readonly (readonly [name: string, scene: (path: string) => FileChange])[] = [
  ["a file that keeps its inode", (path) => {
    Deno.writeTextFileSync(path, OURS);
    Deno.chmodSync(path, 0o644);
    return fileChange(path, { isInPlace: true, mode: 0o644 });
  }],
  ["a file that was replaced, with its mode", (path) => {
    Deno.writeTextFileSync(path, OURS);
    return fileChange(path, { isInPlace: false, mode: 0o640 });
  }],
  ["a symbolic link", (path) => {
    Deno.writeTextFileSync(path, OURS);
    return { ...fileChange(path), original: { type: "link", target: "../run/stub resolv.conf" } };
  }],
  ["no file", (path) => {
    Deno.writeTextFileSync(path, OURS);
    return { ...fileChange(path), original: undefined };
  }],
];

for (const [name, scene] of SCENES) {
  Deno.test(`undoChange: puts back ${name}`, () =>
    inFolder(async (folder) => {
      const path = `${folder}/resolv.conf`;
      const change = scene(path);
      const inode = Deno.lstatSync(path).ino;
      assert.equal(await undoChange(change, silentLog), true);
      assertRestored(change, inode);
      assert.equal(await undoChange(change, silentLog), false);
      assertRestored(change, inode);
    }));

  Deno.test({
    name: `guardChange: puts back ${name} when its process is killed`,
    ignore: Deno.build.os !== "linux",
    fn: () =>
      inFolder(async (folder) => {
        const path = `${folder}/resolv.conf`;
        const change = scene(path);
        const inode = Deno.lstatSync(path).ino;
        await killedWhileGuarding(change, `${folder}/lock`);
        await eventually(() => assertRestored(change, inode));
      }),
  });
}

Deno.test("undoChange: leaves what somebody else wrote since then, and finishes what was cut off", () =>
  inFolder(async (folder) => {
    const path = `${folder}/resolv.conf`;
    const change = fileChange(path);
    for (const theirs of ["nameserver 1.1.1.1\n", ORIGINAL, `# x\n${OURS}`]) {
      Deno.writeTextFileSync(path, theirs);
      assert.equal(await undoChange(change, silentLog), false);
      assert.equal(Deno.readTextFileSync(path), theirs);
    }
    for (const torn of ["", `${ORIGINAL}\n\n\n`, OURS.slice(0, -20), `${OURS}${ORIGINAL}`]) {
      Deno.writeTextFileSync(path, torn);
      assert.equal(await undoChange(change, silentLog), true);
      assert.equal(Deno.readTextFileSync(path), ORIGINAL);
    }
    Deno.removeSync(path);
    assert.equal(await undoChange(change, silentLog), false);
  }));

Deno.test("guardChange: leaves what somebody else wrote since then", () =>
  inFolder(async (folder) => {
    const path = `${folder}/resolv.conf`;
    const witness = `${folder}/witness`;
    Deno.writeTextFileSync(path, "nameserver 1.1.1.1\n");
    Deno.writeTextFileSync(witness, OURS);
    await killedWhileGuarding(fileChange(path), `${folder}/lock`, fileChange(witness));
    // Both guardians heard of it at the same moment.
    await eventually(() => assert.equal(Deno.readTextFileSync(witness), ORIGINAL));
    assert.equal(Deno.readTextFileSync(path), "nameserver 1.1.1.1\n");
  }));

Deno.test("guardChange: leaves everything to the process that has the lock", () =>
  inFolder(async (folder) => {
    const path = `${folder}/resolv.conf`;
    Deno.writeTextFileSync(path, OURS);
    using lock = Deno.openSync(`${folder}/lock`, { create: true, write: true });
    assert.ok(lock.tryLockSync(true));
    const guardian = await killedWhileGuarding(fileChange(path), `${folder}/lock`);
    await eventually(() => assert.throws(() => Deno.statSync(`/proc/${guardian}`)));
    assert.equal(Deno.readTextFileSync(path), OURS);
  }));

Deno.test("guardChange: does not wait at a pipe that somebody put there", () =>
  inFolder(async (folder) => {
    const path = `${folder}/resolv.conf`;
    assert.equal(new Deno.Command("mkfifo", { args: [path] }).outputSync().code, 0);
    const guardian = await killedWhileGuarding(fileChange(path), `${folder}/lock`);
    try {
      await eventually(() => assert.throws(() => Deno.statSync(`/proc/${guardian}`)));
    } catch (error) {
      Deno.kill(guardian, "SIGKILL");
      throw error;
    }
  }));

Deno.test("guardChange: goes without a trace when it is told that all is well", () =>
  inFolder(async (folder) => {
    const path = `${folder}/resolv.conf`;
    Deno.writeTextFileSync(path, OURS);
    const guard = guardChange(fileChange(path), `${folder}/lock`, silentLog);
    assert.ok(guard);
    guard.end();
    await eventually(async () => assert.equal(await guardians(path), ""));
    assert.equal(Deno.readTextFileSync(path), OURS);
  }));

Deno.test("guardChange: has nothing to do for what breaks nothing", () => {
  for (
    const change of [
      { id: "network", type: "network", device: "fz0" },
      { id: "resolved", type: "resolved", device: "fz0" },
    ] as const
  ) assert.equal(guardChange(change, "/nowhere", silentLog), undefined);
});

function fileChange(
  path: string,
  { isInPlace = true, mode = 0o644 }: { isInPlace?: boolean; mode?: number } = {},
): FileChange {
  const content = toBase64(new TextEncoder().encode(ORIGINAL));
  const owner = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };
  return {
    id: `file:${path}`,
    type: "file",
    path,
    original: { type: "file", content, mode, ...owner },
    isInPlace,
  };
}

function assertRestored({ path, original, isInPlace }: FileChange, inode: number | null): void {
  const folder = path.slice(0, path.lastIndexOf("/"));
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name !== "lock");
  assert.deepEqual(names, original === undefined ? [] : ["resolv.conf"]);
  if (original === undefined) return;
  if (original.type === "link") return assert.equal(Deno.readLinkSync(path), original.target);
  assert.equal(Deno.readTextFileSync(path), ORIGINAL);
  const { mode, ino } = Deno.lstatSync(path);
  assert.equal(mode! & 0o7777, original.mode);
  assert.equal(ino === inode, isInPlace);
}

/** Has a process guard `changes`, kills it, and returns the id of the first guardian. */
async function killedWhileGuarding(change: Change, lockPath: string, ...more: Change[]): Promise<number> {
  const module = new URL("../../ffi/linux/guardian.ts", import.meta.url).href;
  const code = `
    import { guardChange } from ${JSON.stringify(module)};
    const log = new Proxy({}, { get: () => () => {} });
    for (const change of ${JSON.stringify([change, ...more])}) {
      if (guardChange(change, ${
    JSON.stringify(lockPath)
  }, log) === undefined) throw new Error("nobody guards");
    }
    const children = Deno.readTextFileSync(\`/proc/self/task/\${Deno.pid}/children\`).trim().split(" ");
    console.log(children[0]);
    setInterval(() => {}, 1000);
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", `data:text/typescript,${encodeURIComponent(code)}`],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await eventually(() => Deno.readTextFileSync(`/proc/${child.pid}/stat`));
  child.kill("SIGKILL");
  await reader.cancel();
  await child.status;
  return Number(new TextDecoder().decode(value));
}

/** Returns the guardians of `path`, one on each line. */
async function guardians(path: string): Promise<string> {
  const script = 'grep -lsz "^FILE=$1$" /proc/[0-9]*/environ | grep -v "/self/" || :';
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script, "look", path] }).output();
  return new TextDecoder().decode(stdout);
}

async function eventually(attempt: () => unknown): Promise<void> {
  const deadline = performance.now() + 90_000;
  for (;;) {
    try {
      return void await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function inFolder(body: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
