import assert from "node:assert/strict";
import { peekJournal } from "../../io/journal.ts";
import { checkFolder } from "../../io/supervisor/definition.ts";
import { takeOver } from "../../io/supervisor/system_user.ts";
import { Fault } from "../../lib/base/fault.ts";
import { type Change, encodeJournal } from "../../lib/host/journal.ts";

Deno.test({
  name: "checkFolder: refuses what root could not enter without capabilities, and names where to go",
  ignore: Deno.uid() !== 0,
  async fn() {
    const home = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${home}/fz`);
      await Deno.chmod(home, 0o700);
      await checkFolder(`${home}/fz`);
      await Deno.chown(home, 1234, 1234);
      await assert.rejects(checkFolder(`${home}/fz`), (fault: Fault) => {
        assert.equal(fault.code, "privilege");
        assert.match(fault.message, new RegExp(`only its owner may enter "${home}"$`));
        assert.match(fault.next ?? "", /\/opt\/fz/);
        return true;
      });
      await Deno.chmod(home, 0o711);
      await checkFolder(`${home}/fz`);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
});

Deno.test({
  name: "takeOver: what the service kept is root's then, but for a journal, which root would obey",
  ignore: Deno.uid() !== 0 || Deno.build.os !== "linux",
  async fn() {
    const state = await Deno.makeTempDir();
    try {
      const change: Change = {
        id: "file:/etc/x",
        type: "file",
        path: "/etc/x",
        original: undefined,
        isInPlace: false,
      };
      const journal = encodeJournal([{ boot: "", namespace: "", change }]);
      const names = ["journal.json", "journal.json.newer", "journal.json.new", "client-id.json"];
      for (const name of names) {
        await Deno.writeTextFile(`${state}/${name}`, journal, { mode: 0o600 });
        await Deno.chown(`${state}/${name}`, 1234, 1234);
      }
      await Deno.mkdir(`${state}/journal.json.garbled`);
      await Deno.chown(state, 1234, 1234);
      await takeOver(state);
      assert.equal((await Deno.stat(state)).uid, 0);
      assert.equal((await Deno.stat(`${state}/client-id.json`)).uid, 0);
      assert.deepEqual(peekJournal({ state, runtime: "/nonexistent" }), []);
      assert.deepEqual([...Deno.readDirSync(state)].map(({ name }) => name), ["client-id.json"]);
      await takeOver(`${state}/nonexistent`);
    } finally {
      await Deno.remove(state, { recursive: true });
    }
  },
});
