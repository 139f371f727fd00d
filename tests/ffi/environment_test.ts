/** What /proc tells of a process's environment. */

import assert from "node:assert/strict";

const LINUX = Deno.build.os === "linux";
const MODULE = new URL("../../ffi/linux/environment.ts", import.meta.url).href;

/** Writes a line each: what /proc tells before and after, and what the process and its child have. */
const PROGRAM = `
const { hideVariable } = await import(${JSON.stringify(MODULE)});
const shown = () => Deno.readTextFileSync("/proc/self/environ");
const before = shown();
hideVariable("SECRET_THING");
hideVariable("NOT_THERE");
const child = new Deno.Command("sh", { args: ["-c", 'printf "$SECRET_THING"'] }).outputSync();
console.log(JSON.stringify({
  before,
  after: shown(),
  own: Deno.env.get("SECRET_THING"),
  neighbours: [Deno.env.get("A_NEIGHBOUR"), Deno.env.get("SECRET_THING_TOO")],
  child: new TextDecoder().decode(child.stdout),
}));
Deno.env.delete("SECRET_THING");
console.log(JSON.stringify([shown(), Deno.env.get("SECRET_THING") ?? null]));`;

Deno.test({
  name: "hideVariable: /proc does not show it, its neighbours stay, the process and its children have it",
  ignore: !LINUX,
  fn: async () => {
    for (const value of ["s3cret", "sécret ü", "x".repeat(5000), ""]) {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["eval", PROGRAM],
        env: { A_NEIGHBOUR: "one", SECRET_THING: value, SECRET_THING_TOO: "two" },
      }).output();
      const [line = "", last = ""] = new TextDecoder().decode(stdout).split("\n");
      assert.notEqual(line, "", new TextDecoder().decode(stderr));
      const { before, after, own, neighbours, child } = JSON.parse(line);
      assert.ok(before.includes(`\0SECRET_THING=${value}\0`) || before.startsWith(`SECRET_THING=${value}\0`));
      assert.ok(!after.includes("SECRET_THING="));
      assert.ok(value === "" || !after.includes(value));
      assert.match(after, /A_NEIGHBOUR=one\0/);
      assert.match(after, /SECRET_THING_TOO=two\0/);
      assert.deepEqual([own, child, neighbours], [value, value, ["one", "two"]]);
      const [end, gone] = JSON.parse(last);
      assert.ok(!end.includes("SECRET_THING="));
      assert.equal(gone, null);
    }
  },
});
