import assert from "node:assert/strict";
import { type DrivenShell, named, type ShellName, withShell } from "./completion_shell.ts";
import { withControl } from "./control_fixture.ts";

/** Names that a careless script would cut, expand or run. */
const NAMES = [
  "GitLab Web",
  'it\'s "quoted"',
  "Prod: DB",
  "Ünïcode ☃",
  "a$HOME",
  "star*?[x]",
  "$(touch pwned)",
  "`touch pwned`",
  "back\\slash",
  "wow!",
  "10.0.0.0/8",
  "semi;colon & pipe|",
  "eq=ual@sign",
  "#hash",
  "~tilde",
  "{a,b}",
];

/** What is typed before Tab, in each shell's own quoting, and the name that it begins. */
const TYPED: readonly (readonly [typed: string, name: string])[] = [
  ["Git", "GitLab Web"],
  ["GitLab\\ ", "GitLab Web"],
  ['"GitLab W', "GitLab Web"],
  ['"it', 'it\'s "quoted"'],
  ["Prod:\\ ", "Prod: DB"],
  ['"Prod: ', "Prod: DB"],
  ["Ün", "Ünïcode ☃"],
  ["a", "a$HOME"],
  ["sta", "star*?[x]"],
  ["'$(", "$(touch pwned)"],
  ["'`", "`touch pwned`"],
  ["'ba", "back\\slash"],
  ["wo", "wow!"],
  ["10.", "10.0.0.0/8"],
  ["semi", "semi;colon & pipe|"],
  ["eq", "eq=ual@sign"],
  ["'#", "#hash"],
  ["'{", "{a,b}"],
];

/** Quotes that mean something else in one of the shells. */
const OTHERWISE: Readonly<Record<ShellName, readonly string[]>> = {
  bash: [],
  zsh: [],
  fish: [],
};

for (const name of ["bash", "zsh", "fish"] as const) {
  Deno.test(`completions in ${name}: names of resources arrive as they are, whatever is in them`, {
    ignore: !(await has(name)),
  }, async (t) => {
    await withControl({ handlers: { resources: () => named(NAMES) } }, async ({ paths }) => {
      await withShell(name, { FZ_RUNTIME_DIR: paths.runtime }, async (shell) => {
        for (const [typed, expected] of TYPED) {
          if (OTHERWISE[name].includes(typed)) continue;
          await t.step(typed, () => completes(shell, `fz ping ${typed}`, ["ping", expected]));
        }
      });
    });
  });

  Deno.test(`completions in ${name}: commands, verbs and options complete without a session`, {
    ignore: !(await has(name)),
  }, async () => {
    await withShell(name, { FZ_RUNTIME_DIR: "/nonexistent" }, async (shell) => {
      await completes(shell, "fz vers", ["version"]);
      await completes(shell, "fz resource sh", ["resource", "show"]);
      await completes(shell, "fz run --activ", ["run", "--activate-internet-resource"]);
      await completes(shell, "fz run --dns-control sys", ["run", "--dns-control", "systemd-resolved"]);
      await completes(shell, "fz portal --seed my", ["portal", "--seed", "my file.json"]);
      assert.deepEqual(await shell.type("fz ping nothing\t"), ["ping", "nothing"]);
    });
  });
}

/** A busy machine may not answer within the time that completion takes at most; a person would press Tab again. */
async function completes(shell: DrivenShell, line: string, expected: readonly string[]): Promise<void> {
  let got: readonly string[] = [];
  for (let attempt = 0; attempt < 30; attempt++) {
    got = await shell.type(`${line}\t`);
    if (JSON.stringify(got) === JSON.stringify(expected)) return;
  }
  assert.deepEqual(got, expected);
}

async function has(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output()).success;
  } catch {
    return false;
  }
}
