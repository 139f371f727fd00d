import assert from "node:assert/strict";
import { readTokenFile } from "../../io/token_file.ts";
import { Fault } from "../../lib/base/fault.ts";

Deno.test("readTokenFile: reads a file that is the user's alone", () =>
  withFile("t0ken\n", 0o600, async (path) => {
    assert.equal(await readTokenFile(path), "t0ken\n");
    await Deno.chmod(path, 0o400);
    assert.equal(await readTokenFile(path), "t0ken\n");
  }));

Deno.test("readTokenFile: returns undefined where there is no file", async () => {
  assert.equal(await readTokenFile("/nonexistent/token"), undefined);
});

Deno.test("readTokenFile: refuses a file that others could read or run, and says the fixing command", () =>
  withFile("t0ken", 0o600, async (path) => {
    for (const mode of [0o640, 0o604, 0o700, 0o622]) {
      await Deno.chmod(path, mode);
      await assert.rejects(
        readTokenFile(path),
        (error) =>
          error instanceof Fault && error.code === "rejected" && error.next === `Run "chmod 600 ${path}".`,
      );
    }
  }));

Deno.test("readTokenFile: refuses a folder and a file of endless length", async () => {
  await assert.rejects(readTokenFile("/tmp"), /not a file|Is a directory/);
  await withFile("x".repeat(70_000), 0o600, (path) => assert.rejects(readTokenFile(path), /far too long/));
});

async function withFile(text: string, mode: number, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "fz-test-" });
  try {
    await Deno.writeTextFile(path, text);
    await Deno.chmod(path, mode);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}
