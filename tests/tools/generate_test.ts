import assert from "node:assert/strict";
import { walkTree } from "../../cli/tree.ts";
import { generated } from "../../tools/generate.ts";

const ROOT = new URL("../../", import.meta.url);
const files = await generated();

Deno.test("generated: files are what the command tree makes today (deno task generate)", async (t) => {
  for (const [path, text] of files) {
    await t.step(path, async () => assert.equal(await Deno.readTextFile(new URL(path, ROOT)), text));
  }
});

Deno.test("generated: nothing is left of commands that are gone", async () => {
  const wanted = new Set(files.keys());
  await walkTree((path) => wanted.add(`tests/golden/help/${path.join("-")}.txt`));
  for (const folder of ["completions", "man", "tests/golden/help"]) {
    for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
      assert.ok(wanted.has(`${folder}/${name}`), `${folder}/${name}`);
    }
  }
});

Deno.test("generated: every command has its place in a page of the manual", async () => {
  await walkTree(([first, ...rest]) => {
    const page = files.get(`man/fz-${first}.1`);
    assert.ok(page !== undefined, `no page for ${first}`);
    const heading = `.SS "fz ${[first, ...rest].join(" ").replaceAll("-", "\\-")}"`;
    const isGroup = page.includes(`${heading.slice(0, -1)} `);
    assert.ok(rest.length === 0 || isGroup || page.includes(heading), heading);
  });
});

Deno.test("generated: formatters of man pages find nothing to complain about", {
  ignore: !(await has("mandoc")),
}, async () => {
  const pages = [...files.keys()].filter((path) => path.startsWith("man/"));
  const { stdout, stderr } = await new Deno.Command("mandoc", {
    args: ["-T", "lint", "-W", "warning", ...pages],
    cwd: ROOT,
  }).output();
  assert.equal(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr), "");
});

async function has(program: string): Promise<boolean> {
  try {
    await new Deno.Command(program, { args: ["-h"], stdout: "null", stderr: "null" }).output();
    return true;
  } catch {
    return false;
  }
}
