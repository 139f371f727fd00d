import assert from "node:assert/strict";
import { suggestions } from "../../cli/completion.ts";
import type { CompletionFacts, FactKind } from "../../lib/control/completion.ts";
import { fakeContext } from "./fake_context.ts";

const FACTS: CompletionFacts = {
  resource: [{ name: "GitLab Web", note: "gitlab.corp.example" }, { name: "Wiki" }, { name: "tab\there" }],
  profile: [{ name: "default" }, { name: "work" }],
};

async function complete(line: readonly string[], facts = FACTS) {
  const asked: FactKind[] = [];
  const completionFacts = (kinds: readonly FactKind[]) => {
    asked.push(...kinds);
    return Promise.resolve(facts);
  };
  const found = await suggestions(line, fakeContext({ host: { completionFacts } }));
  return {
    words: found.map((suggestion) => suggestion.kind === "literal" ? suggestion.text : "file"),
    asked,
  };
}

Deno.test("suggestions: commands, verbs, options and values by what was typed before", async (t) => {
  const table: [line: string[], words: string[]][] = [
    [["versi"], ["version"]],
    [["portal", "to"], ["token"]],
    [["portal", "token", "cr"], ["create"]],
    [["run", "--activate"], ["--activate-internet-resource"]],
    [["run", "--dns-control", "sys"], ["systemd-resolved"]],
    [["run", "--dns-control=sys"], ["--dns-control=systemd-resolved"]],
    [["run", "--hel"], ["--help"]],
    [["completions", "z"], ["zsh"]],
    [["help", "versi"], ["version"]],
    [["help", "portal", "token", "cr"], ["create"]],
    [["help", "exit"], ["exit-codes"]],
    [["nonsense", "x"], []],
    [["version", "now", "x"], []],
  ];
  for (const [line, words] of table) {
    await t.step(line.join(" "), async () => assert.deepEqual((await complete(line)).words, words));
  }
});

Deno.test("suggestions: names come from the session, in a flag's value, too, and only where they fit", async () => {
  assert.deepEqual(await complete(["ping", "Git"]), { words: ["GitLab Web"], asked: ["resource"] });
  assert.deepEqual(await complete(["run", "--profile=w"]), { words: ["--profile=work"], asked: ["profile"] });
  assert.deepEqual(await complete(["run", "--profile", ""]), {
    words: ["default", "work"],
    asked: ["profile"],
  });
});

Deno.test("suggestions: a name that no shell could take is left out", async () => {
  assert.deepEqual((await complete(["ping", "tab"])).words, []);
});

Deno.test("suggestions: options wait until they are asked for, and no session is asked for them", async () => {
  assert.deepEqual(await complete(["ping", ""], {}), { words: [], asked: ["resource"] });
  for (const prefix of ["-", "--"]) {
    const { words, asked } = await complete(["ping", prefix]);
    assert.ok(words.includes("--json") && words.includes("--help"), words.join(" "));
    assert.deepEqual(asked, []);
  }
});

Deno.test("suggestions: nothing ends them with an error", async () => {
  const completionFacts = () => Promise.reject(new Error("stuck"));
  assert.deepEqual(await suggestions(["ping", ""], fakeContext({ host: { completionFacts } })), []);
  for (const line of [[""], ["\0"], ["--"], ["run", "--api-url", "::", ""], Array(2000).fill("x")]) {
    await suggestions(line, fakeContext());
  }
});
