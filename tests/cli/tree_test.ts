import assert from "node:assert/strict";
import { TOPICS } from "../../cli/help/mod.ts";
import { run } from "../../cli/mod.ts";
import { walkTree } from "../../cli/tree.ts";
import { fakeContext } from "./fake_context.ts";

const PATHS: string[][] = [];
await walkTree((path) => PATHS.push([...path]));

async function said(args: readonly string[], columns?: number) {
  const plain = fakeContext();
  const context = columns === undefined ? plain : { ...plain, stdout: { ...plain.stdout, columns } };
  const code = await run(args, context);
  return { code, ...plain.written };
}

Deno.test("run: a group without a verb prints its help", async () => {
  for (const path of [["service"], ["portal", "token"]]) {
    const group = await said(path);
    assert.deepEqual(group, await said([...path, "--help"]));
    assert.deepEqual(group, await said(["help", ...path]));
    assert.equal(group.code, 0);
    assert.match(group.stdout, /^ {2}(status|list) /m);
  }
});

Deno.test("run: at every level an unknown word brings the nearest known one, and the help to read", async (t) => {
  const table: [args: string[], said: string, next: string][] = [
    [["statsu"], 'Unknown command "statsu". Did you mean "status"?', "fz --help"],
    [
      ["resource", "lsit"],
      'Unknown command "lsit". Did you mean "resource list"?',
      "fz resource --help",
    ],
    [
      ["portal", "token", "craete"],
      'Unknown command "craete". Did you mean "portal token create"?',
      "fz portal token --help",
    ],
    [
      ["portal", "token", "create", "--expiers", "1d"],
      'Unknown option "--expiers". Did you mean "--expires"?',
      "fz portal token create --help",
    ],
    [["portal", "--sede", "x"], 'Unknown option "--sede". Did you mean "--seed"?', "fz portal --help"],
    [["portal", "tokne"], 'Unknown command "tokne". Did you mean "portal token"?', "fz portal --help"],
    [["service", "--nope"], 'Unknown option "--nope"', "fz service --help"],
    [["help", "statsu"], 'Unknown command or topic "statsu". Did you mean "status"?', "fz help"],
    [["help", "pahts"], 'Unknown command or topic "pahts". Did you mean "paths"?', "fz help"],
    [
      ["help", "resource", "lsit"],
      'Unknown command "lsit". Did you mean "resource list"?',
      "fz help resource",
    ],
  ];
  const asOption = await said(["up", "--api-url", "x"]);
  assert.match(
    asOption.stderr,
    /Unknown option "--api-url"\n {4}Set it with `fz config set api-url VALUE` first/,
  );
  assert.match((await said(["ping"])).stderr, /^fz: RESOURCE is missing\n/);
  assert.match((await said(["explain", ""])).stderr, /^fz: RESOURCE: It is empty\n/);
  assert.match((await said(["resource", "enable"])).stderr, /^fz: RESOURCE is missing\n/);
  for (const [args, message, next] of table) {
    await t.step(args.join(" "), async () => {
      const { code, stdout, stderr } = await said(args);
      assert.equal(stderr, `fz: ${message}\n    See \`${next}\`.\n`);
      assert.equal(stdout, "");
      assert.equal(code, 2);
    });
  }
});

Deno.test("run: knows what other programs call our commands", async (t) => {
  const table: [typed: string, meant: string][] = [
    ["login", "sign-in"],
    ["logout", "sign-out"],
    ["connect", "up"],
    ["disconnect", "down"],
    ["resources", "resource list"],
    ["logs", "log"],
  ];
  for (const [typed, meant] of table) {
    await t.step(typed, async () => {
      const { stdout, stderr } = await said(["help", typed]);
      const isAlias = stdout.includes(`Usage: fz ${meant.split(" ")[0]} `);
      assert.ok(isAlias || stderr.includes(`Did you mean "${meant}"?`), stdout + stderr);
      assert.ok(PATHS.some((path) => path.join(" ") === meant), `there is no ${meant}`);
    });
  }
});

Deno.test("run: help fits 40 columns, up to words that cannot be broken", async () => {
  for (const path of PATHS) {
    const { code, stdout } = await said([...path, "--help"], 40);
    assert.equal(code, 0);
    for (const line of stdout.split("\n")) {
      // Command lines to copy stay whole.
      if (line.length <= 40 || /`|^ {2}("\$EDITOR|\S+=… fz|fz) /.test(line)) continue;
      assert.match(line, /^ *\S+$/, `${path.join(" ")}: ${line}`);
    }
  }
});

Deno.test("run: help leaves no space at the end of a line", async () => {
  for (const path of [[], ...PATHS]) assert.doesNotMatch((await said([...path, "--help"])).stdout, / $/m);
});

Deno.test("fz help: explains each topic in at most 60 lines, and fits 40 columns", async (t) => {
  for (const { name, brief } of TOPICS) {
    await t.step(name, async () => {
      const { code, stdout } = await said(["help", name]);
      assert.equal(code, 0);
      assert.ok(stdout.replace(/\s+/g, " ").includes(brief));
      const own = stdout.slice(stdout.indexOf(brief.slice(0, 20)));
      if (name !== "environment") assert.ok(own.split("\n").length <= 60, name);
      for (const line of (await said(["help", name], 40)).stdout.split("\n")) {
        assert.ok(
          line.length <= 40 || /^ *\S+$/.test(line) || /`|^ {2}("\$EDITOR|\S+=… fz|fz) /.test(line),
          line,
        );
      }
    });
  }
});

Deno.test("fz help: lists commands and topics", async () => {
  const { code, stdout } = await said(["help"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith((await said(["--help"])).stdout));
  for (const { name } of TOPICS) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
});
