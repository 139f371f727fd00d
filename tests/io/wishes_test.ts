import assert from "node:assert/strict";
import { IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { silentLog } from "../../lib/base/log.ts";
import { readWishes, wishesFile, writeWishes } from "../../io/service/wishes.ts";

Deno.test("readWishes gives back what writeWishes was given, and leaves nothing else behind", () => {
  inFolder((folder) => {
    const path = wishesFile(folder, "work");
    for (
      const wishes of [
        { internet: true, disabledResources: ["a", "b"] },
        { internet: false, disabledResources: [] },
        { internet: undefined, disabledResources: ["a"] },
        {
          internet: true,
          disabledResources: [],
          excluded: [IpNetwork.from("10.0.0.0/8"), IpNetwork.from("fd00::/8")],
          lan: "deny" as const,
        },
      ]
    ) {
      writeWishes(path, wishes, silentLog);
      assert.deepEqual(readWishes(path, silentLog), wishes);
    }
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.deepEqual([...Deno.readDirSync(`${folder}/profiles`)].map(({ name }) => name), ["work.json"]);
  });
});

Deno.test("readWishes goes on as if nothing was switched where the file is torn, strange or not there", () => {
  inFolder((folder) => {
    const path = wishesFile(folder, "work");
    const log = warnings();
    const nothing = { internet: undefined, disabledResources: [] };
    assert.deepEqual(readWishes(path, log), nothing);
    assert.equal(log.count, 0);
    Deno.mkdirSync(`${folder}/profiles`);
    const bad = [
      '{"schema":1,"disabledRes',
      "",
      "[]",
      '{"schema":2}',
      '{"schema":1,"internet":"yes"}',
      '{"schema":1,"excluded":["somewhere"]}',
      '{"schema":1,"lan":"perhaps"}',
      "\0\0",
    ];
    for (const text of [...bad, `{"schema":1,"x":"${"x".repeat(2 ** 20)}"}`]) {
      Deno.writeTextFileSync(path, text);
      assert.deepEqual(readWishes(path, log), nothing);
    }
    assert.equal(log.count, bad.length + 1);
  });
});

Deno.test({
  name: "writeWishes: what root keeps in the service's folder is its user's, and goes through no link of his",
  ignore: Deno.build.os !== "linux" || Deno.uid() !== 0,
  fn: () =>
    inFolder((folder) => {
      const wishes = { internet: true, disabledResources: [] };
      const state = `${folder}/state`;
      const path = wishesFile(state, "work");
      Deno.mkdirSync(state);
      Deno.chownSync(state, 1234, 1235);
      writeWishes(path, wishes, silentLog);
      for (const each of [`${state}/profiles`, path]) {
        const { uid, gid } = Deno.lstatSync(each);
        assert.deepEqual([uid, gid], [1234, 1235], each);
      }
      assert.equal(Deno.lstatSync(path).mode! & 0o777, 0o600);
      assert.deepEqual(readWishes(path, silentLog), wishes);
      Deno.mkdirSync(`${folder}/roots`);
      Deno.removeSync(`${state}/profiles`, { recursive: true });
      Deno.symlinkSync(`${folder}/roots`, `${state}/profiles`);
      const log = warnings();
      writeWishes(path, wishes, log);
      assert.equal(log.count, 1);
      assert.deepEqual([...Deno.readDirSync(`${folder}/roots`)], []);
      assert.equal(Deno.statSync(`${folder}/roots`).uid, 0);
    }),
});

Deno.test("writeWishes warns where it cannot write, and the session goes on", () => {
  const log = warnings();
  writeWishes("/dev/null/profiles/work.json", { internet: true, disabledResources: [] }, log);
  assert.equal(log.count, 1);
});

function inFolder(body: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    body(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function warnings(): Log & { count: number } {
  return {
    ...silentLog,
    count: 0,
    warn() {
      this.count++;
    },
  };
}
