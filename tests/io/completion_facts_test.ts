import assert from "node:assert/strict";
import { completionFacts } from "../../io/completion_facts.ts";
import { named } from "./completion_shell.ts";
import { STATUS, withControl } from "./control_fixture.ts";

Deno.test("completionFacts: names the resources of the session that runs", async () => {
  await withControl({ handlers: { resources: () => named(["GitLab Web"]) } }, async ({ paths }) => {
    await withVariable("FZ_RUNTIME_DIR", paths.runtime, async () => {
      const facts = await completionFacts(["resource"], 10_000);
      assert.deepEqual(facts, { resource: [{ name: "GitLab Web", note: "GitLab Web.example" }] });
    });
  });
});

Deno.test("completionFacts: does not wait for a session that never answers, and says nothing of it", async () => {
  const stuck = Promise.withResolvers<never>();
  const resources = () => stuck.promise;
  const status = () => Promise.resolve(STATUS);
  await withControl({ handlers: { resources, status } }, async ({ paths }) => {
    await withVariable("FZ_RUNTIME_DIR", paths.runtime, async () => {
      assert.deepEqual(await completionFacts(["resource"], 20), { resource: [] });
    });
    stuck.reject(new Error("the test is over"));
  });
});

Deno.test("completionFacts: without a session and without folders there is only the default profile", async () => {
  await withVariable("FZ_RUNTIME_DIR", "/nonexistent/run", async () => {
    await withVariable("FZ_CONFIG_DIR", "/nonexistent/config", async () => {
      assert.deepEqual(await completionFacts(["resource", "profile"], 10_000), {
        resource: [],
        profile: [{ name: "default" }],
      });
    });
  });
});

Deno.test("completionFacts: names a profile once that has settings and a token", async () => {
  const folder = await Deno.makeTempDir({ prefix: "fz-facts-" });
  try {
    await Deno.mkdir(`${folder}/profiles`);
    for (const file of ["work.toml", "work.token", "home.token", "notes.txt"]) {
      await Deno.writeTextFile(`${folder}/profiles/${file}`, "");
    }
    await withVariable("FZ_CONFIG_DIR", folder, async () => {
      assert.deepEqual(await completionFacts(["profile"], 10_000), {
        profile: [{ name: "default" }, { name: "home" }, { name: "work" }],
      });
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function withVariable(name: string, value: string, test: () => Promise<void>): Promise<void> {
  const before = Deno.env.get(name);
  Deno.env.set(name, value);
  try {
    await test();
  } finally {
    if (before === undefined) Deno.env.delete(name);
    else Deno.env.set(name, before);
  }
}
