import assert from "node:assert/strict";
import { createLog, setupLog } from "../../io/log.ts";
import { LogFilter } from "../../lib/control/log_filter.ts";
import { LogRing, processLog } from "../../io/log_ring.ts";
import { readKeptLog } from "../../io/kept_log.ts";
import { LogFile } from "../../io/open_log.ts";
import { changeLogFilter, logLines } from "../../io/service/log_lines.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { LogDocument } from "../../lib/control/api.ts";

function record(message: string, level: LogDocument["level"] = "info"): LogDocument {
  return { time: "2026-11-22T15:10:00.000Z", level, category: "x", message };
}

const never = new AbortController().signal;

async function messages(lines: AsyncIterable<LogDocument>): Promise<string[]> {
  return (await Array.fromAsync(lines)).map(({ message }) => message);
}

Deno.test("LogRing: forgets the oldest beyond its count and beyond its length", () => {
  const ring = new LogRing(3, 1000);
  for (let index = 0; index < 50; index++) ring.push(record(`${index}`));
  assert.deepEqual(ring.records().map(({ message }) => message), ["47", "48", "49"]);
  ring.push(record("x".repeat(900)));
  assert.equal(ring.records().length, 1);
  ring.push(record("small"));
  assert.deepEqual(ring.records().map(({ message }) => message.length), [5]);
});

Deno.test("logLines: yields the last records of a level, and ends", async () => {
  const ring = new LogRing();
  for (const level of ["debug", "info", "warn", "error"] as const) ring.push(record(level, level));
  assert.deepEqual(await messages(logLines({}, never, ring)), ["debug", "info", "warn", "error"]);
  assert.deepEqual(await messages(logLines({ level: "warn" }, never, ring)), ["warn", "error"]);
  assert.deepEqual(await messages(logLines({ last: 1, level: "info" }, never, ring)), ["error"]);
  assert.deepEqual(await messages(logLines({ last: 0 }, never, ring)), []);
});

Deno.test("logLines: follows until it is aborted, and loses nothing in between", async () => {
  const ring = new LogRing();
  const abort = new AbortController();
  ring.push(record("old"));
  const lines = logLines({ follow: true, level: "info" }, abort.signal, ring);
  assert.equal((await lines.next()).value.message, "old");
  ring.push(record("quiet", "debug"));
  ring.push(record("one"));
  assert.equal((await lines.next()).value.message, "one");
  const pending = lines.next();
  ring.push(record("two"));
  assert.equal((await pending).value.message, "two");
  const last = lines.next();
  abort.abort();
  assert.equal((await last).done, true);
});

Deno.test("logLines: tells a slow reader how many records it missed", async () => {
  const ring = new LogRing();
  const lines = logLines({ follow: true, last: 0 }, never, ring, 2);
  const first = lines.next();
  await Promise.resolve();
  for (let index = 0; index < 5; index++) ring.push(record(`${index}`));
  assert.equal((await first).value.message, "0");
  assert.equal((await lines.next()).value.message, "1");
  const missed = (await lines.next()).value as LogDocument;
  assert.deepEqual([missed.level, missed.fields], ["warn", { missed: 3 }]);
  await lines.return(undefined);
});

Deno.test("setupLog: keeps records whatever the sink is", () => {
  setupLog({ filter: new LogFilter("info"), format: "text", write() {} });
  createLog("client").info("kept", { bytes: Uint8Array.of(255) });
  const last = processLog.records().at(-1)!;
  assert.deepEqual([last.category, last.message, last.fields], ["client", "kept", { bytes: "ff" }]);
});

Deno.test("changeLogFilter: changes the filter, goes back to the start's, and quotes what is wrong", () => {
  setupLog({ filter: new LogFilter("warn"), format: "text", write() {} });
  assert.deepEqual(changeLogFilter({ filter: "info,client::dns=debug" }), {
    schema: 1,
    filter: "info,client.dns=debug",
  });
  assert.throws(
    () => changeLogFilter({ filter: "info,dns=loud" }),
    (error) => error instanceof Fault && error.code === "usage" && error.message.includes('"dns=loud"'),
  );
  assert.equal(changeLogFilter({}).filter, "warn");
});

Deno.test("LogFile: rotates at its bound, and what it kept can be read across files", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = new LogFile(folder, 1000);
    const lines = Array.from({ length: 60 }, (_, index) => JSON.stringify(record(`m${index}`)) + "\n");
    for (const line of lines) file.write(new TextEncoder().encode(line));
    file.close();
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["fz.log", "fz.log.1", "fz.log.2", "fz.log.3", "fz.log.4"]);
    for (const name of names) {
      const { size, mode } = Deno.statSync(`${folder}/${name}`);
      assert.ok(size <= 1000);
      assert.equal(mode! & 0o137, 0, "others may not read, nobody may execute");
    }
    const kept = readKeptLog(folder, { last: 25 })!;
    assert.deepEqual(
      kept.records.map(({ message }) => message),
      Array.from({ length: 25 }, (_, index) => `m${index + 35}`),
    );
    assert.deepEqual(readKeptLog(folder, { last: 5, level: "error" })!.records, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("LogFile: comes back after its folder was removed", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const inner = `${folder}/log`;
    const now = performance.now;
    let time = 0;
    performance.now = () => time;
    try {
      const file = new LogFile(inner);
      file.write(new TextEncoder().encode("lost\n"));
      await Deno.remove(inner, { recursive: true });
      time += 2000;
      file.write(new TextEncoder().encode("found\n"));
      file.close();
    } finally {
      performance.now = now;
    }
    assert.equal(await Deno.readTextFile(`${inner}/fz.log`), "found\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name:
    "LogFile: what root logs in the service's folder is its user's, and goes through no link or pipe that he laid",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  async fn() {
    const folder = await Deno.makeTempDir();
    const before = Deno.env.get("FZ_STATE_DIR");
    const state = `${folder}/state`;
    Deno.env.set("FZ_STATE_DIR", state);
    try {
      await Deno.mkdir(state);
      await Deno.chown(state, 1234, 1235);
      const line = new TextEncoder().encode("a line\n");
      const file = new LogFile(`${state}/log`);
      file.write(line);
      file.close();
      for (const path of [`${state}/log`, `${state}/log/fz.log`]) {
        const { uid, gid } = await Deno.lstat(path);
        assert.deepEqual([uid, gid], [1234, 1235], path);
      }
      await Deno.writeTextFile(`${folder}/precious`, "as it was");
      await Deno.mkdir(`${folder}/roots`);
      const traps = [
        ["ln", "-s", `${folder}/precious`, `${state}/log/fz.log`],
        ["ln", `${folder}/precious`, `${state}/log/fz.log`],
        ["mkfifo", `${state}/log/fz.log`],
      ];
      for (const [program, ...args] of traps) {
        await Deno.remove(`${state}/log/fz.log`);
        assert.ok((await new Deno.Command(program!, { args }).output()).success);
        assert.throws(() => new LogFile(`${state}/log`), /Cannot write logs/);
      }
      await Deno.remove(`${state}/log`, { recursive: true });
      await Deno.symlink(`${folder}/roots`, `${state}/log`);
      assert.throws(() => new LogFile(`${state}/log`), /Cannot write logs/);
      assert.deepEqual([...Deno.readDirSync(`${folder}/roots`)], []);
      assert.equal(await Deno.readTextFile(`${folder}/precious`), "as it was");
    } finally {
      if (before === undefined) Deno.env.delete("FZ_STATE_DIR");
      else Deno.env.set("FZ_STATE_DIR", before);
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("readKeptLog: is undefined where no session left a log", () => {
  assert.equal(readKeptLog("/nonexistent/fz", { last: 10 }), undefined);
});
