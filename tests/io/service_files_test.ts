import assert from "node:assert/strict";
import { Hub } from "../../io/service/hub.ts";
import { readExitFile, removeExitFile, writeExitFile } from "../../io/service/exit_file.ts";
import { takeLock } from "../../io/service/lock.ts";
import { Notices, stateLine, watchdogOf } from "../../io/service/notices.ts";
import { isHidden, processStart } from "../../io/service/process.ts";
import { readSessionTrace, removeSessionFile, writeSessionFile } from "../../io/service/session_file.ts";
import { whyNotRunning } from "../../io/service/why_not_running.ts";
import { writeWishes } from "../../io/service/wishes.ts";
import { Fault } from "../../lib/base/fault.ts";
import { silentLog } from "../../lib/base/log.ts";
import { type Paths, pathsOf } from "../../lib/control/paths.ts";

/** Runs `body` with places below a new folder. */
async function inFolder(body: (paths: Paths) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const env = (name: string) => name === "FZ_RUNTIME_DIR" ? folder : undefined;
    await body(pathsOf({ os: "linux", uid: 0, env }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts a process that lasts until it is killed. */
async function withProcess(body: (pid: number) => Promise<void>): Promise<void> {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    await body(child.pid);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

Deno.test("readSessionTrace: tells nothing, a living process, and a killed one", () =>
  inFolder(async (paths) => {
    assert.deepEqual(await readSessionTrace(paths), { type: "none" });
    await writeSessionFile(paths, { profile: "default", tunName: "fz7", dnsControl: undefined });
    const alive = await readSessionTrace(paths);
    assert.equal(alive.type, "alive");
    assert.equal(alive.type === "alive" && alive.record.pid, Deno.pid);
    assert.equal(alive.type === "alive" && alive.record.tunName, "fz7");
    assert.deepEqual([...Deno.readDirSync(paths.runtime)].map(({ name }) => name), ["session.json"]);
    await removeSessionFile(paths);
    assert.deepEqual(await readSessionTrace(paths), { type: "none" });
  }));

Deno.test("readSessionTrace: takes another process of the same id for no session", () =>
  inFolder((paths) =>
    withProcess(async (pid) => {
      await writeSessionFile(paths, { profile: "default", tunName: undefined, dnsControl: undefined });
      const record = JSON.parse(await Deno.readTextFile(paths.sessionFile));
      const with_ = (changes: object) =>
        Deno.writeTextFile(paths.sessionFile, JSON.stringify({ ...record, ...changes }));
      await with_({ pid, processStart: await processStart(pid) });
      assert.equal((await readSessionTrace(paths)).type, "alive");
      await with_({ pid, processStart: record.processStart === "1" ? "2" : "1" });
      assert.equal((await readSessionTrace(paths)).type, "killed");
    })
  ));

Deno.test("readSessionTrace: takes torn, alien and huge files for a killed session", async (t) => {
  for (const text of ["", "{", "null", '{"schema":1,"pi', '{"schema":2}', "\0\0", "x".repeat(100_000)]) {
    await t.step(JSON.stringify(text.slice(0, 20)), () =>
      inFolder(async (paths) => {
        await Deno.writeTextFile(paths.sessionFile, text);
        assert.deepEqual(await readSessionTrace(paths), { type: "killed", record: undefined });
        assert.match((await whyNotRunning([paths])).message, /was killed and left things behind/);
      }));
  }
});

Deno.test("readSessionTrace: waits for no pipe, reads no gigabyte, and opens no folder", async (t) => {
  const makers: Record<string, (path: string) => Promise<unknown>> = {
    "a pipe": (path) => new Deno.Command("mkfifo", { args: [path] }).output(),
    "a folder": (path) => Deno.mkdir(path),
    "a gigabyte": (path) => Deno.writeTextFile(path, "").then(() => Deno.truncate(path, 2 ** 30)),
    "a device": (path) => Deno.symlink("/dev/zero", path),
  };
  for (const [name, make] of Object.entries(makers)) {
    await t.step(name, () =>
      inFolder(async (paths) => {
        await make(paths.sessionFile);
        assert.deepEqual(await readSessionTrace(paths), { type: "killed", record: undefined });
      }));
  }
});

Deno.test("isHidden: neither who is gone nor who can be seen", async () => {
  assert.equal(await isHidden(Deno.pid), false);
  assert.equal(await isHidden(2 ** 22 + 1), false);
});

Deno.test("processStart: is undefined for a zombie and for nobody", async () => {
  // The shell is the parent of a child that it never waits for.
  const script = "sleep 0 & echo $!; exec sleep 60";
  const parent = new Deno.Command("sh", { args: ["-c", script], stdout: "piped" }).spawn();
  const reader = parent.stdout.getReader();
  const { value } = await reader.read();
  const child = Number(new TextDecoder().decode(value));
  for (let count = 0; count < 9000 && await processStart(child) !== undefined; count++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(await processStart(child), undefined);
  assert.match(await processStart(parent.pid) ?? "", /^\d+$/);
  parent.kill("SIGKILL");
  await parent.status;
  await reader.cancel();
  assert.equal(await processStart(2 ** 22 + 1), undefined);
});

Deno.test("whyNotRunning: tells killed from never started, in the order of the candidates", () =>
  inFolder(async (paths) => {
    const none = await whyNotRunning([paths]);
    assert.equal(none.code, "not-running");
    assert.match(`${none.message} ${none.next}`, /No session runs.*fz up/);
    await writeSessionFile(paths, { profile: "default", tunName: undefined, dnsControl: undefined });
    assert.match((await whyNotRunning([paths])).message, new RegExp(`pid ${Deno.pid}\\) does not answer`));
    const record = JSON.parse(await Deno.readTextFile(paths.sessionFile));
    await Deno.writeTextFile(paths.sessionFile, JSON.stringify({ ...record, processStart: "0" }));
    const killed = await whyNotRunning([paths]);
    assert.match(killed.message, new RegExp(`was killed \\(pid ${Deno.pid}\\) and left things behind`));
    assert.match(killed.next ?? "", /fz cleanup/);
    await inFolder(async (other) => {
      assert.match((await whyNotRunning([other, paths])).message, /was killed/);
    });
  }));

Deno.test("takeLock: one holder, and the next when the holder's process is killed", () =>
  inFolder(async (paths) => {
    const lock = await takeLock(paths.lock);
    assert.ok(lock);
    assert.equal(await takeLock(paths.lock), undefined);
    lock.release();
    const again = await takeLock(paths.lock);
    assert.ok(again);
    again.release();
    const script = `import { takeLock } from "${import.meta.resolve("../../io/service/lock.ts")}";
      globalThis.lock = await takeLock("${paths.lock}");
      console.log("held");
      setInterval(() => {}, 1000);`;
    const file = `${paths.runtime}/holder.ts`;
    await Deno.writeTextFile(file, script);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", file],
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    assert.equal(await takeLock(paths.lock), undefined);
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    const last = await takeLock(paths.lock, 60_000);
    assert.ok(last);
    last.release();
  }));

Deno.test({
  name:
    "takeLock: gives the service's user the lock that root makes, and no file of root's that he linked there",
  ignore: Deno.uid() !== 0,
  fn: () =>
    inFolder(async (paths) => {
      const kept = `${paths.runtime}/kept`;
      await Deno.mkdir(kept);
      await Deno.writeTextFile(`${kept}/secret`, "");
      const folder = `${paths.runtime}/service`;
      await Deno.mkdir(folder);
      await Deno.chown(folder, 1234, 1234);
      const owner = async (path: string) => (await Deno.stat(path)).uid;
      (await takeLock(`${folder}/made`))?.release();
      assert.equal(await owner(`${folder}/made`), 1234);
      // Kernels without fs.protected_hardlinks let anybody do so.
      await Deno.link(`${kept}/secret`, `${folder}/linked`);
      (await takeLock(`${folder}/linked`))?.release();
      assert.equal(await owner(`${kept}/secret`), 0);
      await Deno.symlink(`${kept}/secret`, `${folder}/pointed`);
      await assert.rejects(takeLock(`${folder}/pointed`));
      assert.equal(await owner(`${kept}/secret`), 0);
    }),
});

Deno.test("readExitFile: gives back why the process failed, and only of that process", () =>
  inFolder(async (paths) => {
    assert.equal(await readExitFile(paths, Deno.pid), undefined);
    await writeExitFile(paths, new Fault("dns", "Cannot set DNS", { next: "Do that." }));
    const fault = await readExitFile(paths, Deno.pid);
    assert.deepEqual([fault?.code, fault?.message, fault?.next], ["dns", "Cannot set DNS", "Do that."]);
    assert.equal(await readExitFile(paths, Deno.pid + 1), undefined);
    await Deno.writeTextFile(paths.exitFile, '{"schema":1,"pid":');
    assert.equal(await readExitFile(paths, Deno.pid), undefined);
    await removeExitFile(paths);
    await writeExitFile({ exitFile: "/nowhere/exit.json" }, new Error("oops"));
  }));

Deno.test("writeSessionFile, writeExitFile, writeWishes: write through no link at the name of their draft", () =>
  inFolder(async (paths) => {
    const victim = `${paths.runtime}/victim`;
    await Deno.writeTextFile(victim, "as it was");
    const wishes = `${paths.runtime}/work.json`;
    for (const path of [paths.sessionFile, paths.exitFile]) await Deno.symlink(victim, `${path}.${Deno.pid}`);
    await Deno.symlink(victim, `${wishes}.${Deno.pid}.new`);
    await writeSessionFile(paths, { profile: "work" });
    await writeExitFile(paths, new Fault("dns", "Cannot set DNS"));
    writeWishes(wishes, { internet: true, disabledResources: [] }, silentLog);
    assert.equal(await Deno.readTextFile(victim), "as it was");
    for (const path of [paths.sessionFile, paths.exitFile, wishes]) {
      assert.equal((await Deno.lstat(path)).isFile, true, path);
    }
  }));

Deno.test("Hub: each reader gets all of it in order, and the end", async () => {
  const hub = new Hub<string>("too slow");
  const [one, two] = [
    hub.subscribe(new AbortController().signal, ["first"]),
    hub.subscribe(new AbortController().signal),
  ];
  const early = two.next();
  hub.publish("a");
  hub.publish("b");
  hub.close();
  assert.deepEqual(await Array.fromAsync(one), ["first", "a", "b"]);
  assert.deepEqual([(await early).value, ...await Array.fromAsync(two)], ["a", "b"]);
  assert.deepEqual(await Array.fromAsync(hub.subscribe(new AbortController().signal, ["late"])), ["late"]);
});

Deno.test("Hub: lets a reader go that does not read, with a last word, and nobody else", async () => {
  const hub = new Hub<string>("too slow");
  const idle = hub.subscribe(new AbortController().signal);
  const keen = hub.subscribe(new AbortController().signal);
  const heard: string[] = [];
  const reading = (async () => {
    for await (const item of keen) heard.push(item);
  })();
  for (let count = 0; count < 3000; count++) {
    hub.publish(String(count));
    await Promise.resolve();
    await Promise.resolve();
  }
  assert.equal(hub.readers, 1);
  hub.close();
  await reading;
  assert.equal(heard.length, 3000);
  const left = await Array.fromAsync(idle);
  assert.equal(left.length, 1025);
  assert.equal(left.at(-1), "too slow");
});

Deno.test("Hub: forgets readers that leave or abort, and refuses too many", async () => {
  const hub = new Hub<string>("");
  const abort = new AbortController();
  const waiting = hub.subscribe(abort.signal).next();
  abort.abort();
  assert.equal((await waiting).done, true);
  for await (const _ of hub.subscribe(new AbortController().signal, ["one"])) break;
  assert.equal(hub.readers, 0);
  for (let count = 0; count < 64; count++) hub.subscribe(new AbortController().signal);
  assert.throws(() => hub.subscribe(new AbortController().signal), Fault);
});

Deno.test("Notices: says READY once, extends the start until then, and lives", async () => {
  const said: string[] = [];
  const notices = new Notices((text) => said.push(text));
  notices.begin(20);
  notices.status("Connecting:\n the portal is away");
  while (said.filter((text) => text === "WATCHDOG=1").length < 3) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  notices.ready();
  notices.stopping();
  notices.end();
  const rare = said.filter((text) => text !== "WATCHDOG=1");
  assert.deepEqual(rare, [
    "EXTEND_TIMEOUT_USEC=60000000",
    "STATUS=Connecting: the portal is away",
    "READY=1",
    "STOPPING=1",
  ]);
});

Deno.test("watchdogOf: obeys WATCHDOG_USEC where it is meant for us", () => {
  const of = (variables: Record<string, string>) => watchdogOf({ get: (name) => variables[name] }, 7);
  assert.equal(of({ WATCHDOG_USEC: "30000000" }), 30_000);
  assert.equal(of({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }), 30_000);
  assert.equal(of({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }), undefined);
  for (const value of ["", "0", "-5", "soon", "999"]) assert.equal(of({ WATCHDOG_USEC: value }), undefined);
  assert.equal(of({}), undefined);
});

Deno.test("stateLine: says where the session stands, and why", () => {
  assert.equal(stateLine("connected", undefined), "Connected");
  assert.equal(stateLine("signed-out", "Nobody is signed in"), "Signed out: Nobody is signed in");
});
