import assert from "node:assert/strict";
import { versionFacts } from "../../io/version_facts.ts";

Deno.test("versionFacts: names runtime, kernel, cipher and offloads, each in one line", async () => {
  const facts = await versionFacts();
  assert.equal(facts.deno, Deno.version.deno);
  assert.equal(facts.kernel, Deno.osRelease());
  assert.match(facts["crypto found"]!, /noble$/);
  assert.ok(facts["crypto found"]!.includes(facts.crypto!));
  // Linux has both since 5.0, older than any kernel that runs this Deno.
  assert.match(facts.offloads!, /UDP segmentation, UDP coalescing/);
  assert.ok(Object.values(facts).every((value) => !value.includes("\n")));
});
