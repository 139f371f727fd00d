import assert from "node:assert/strict";

const WAIT = `
import { untilReaderGone } from ${JSON.stringify(new URL("../../ffi/linux/reader.ts", import.meta.url).href)};
console.error("waiting");
await untilReaderGone(1);
console.error("gone");
Deno.exit();
`;

Deno.test("untilReaderGone: tells that the reader of a pipe has gone, and not before", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", WAIT],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, "waiting\n");
  const next = reader.read();
  const early = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 200, "nothing"))]);
  assert.equal(early, "nothing");
  await child.stdout.cancel();
  assert.equal((await next).value, "gone\n");
  await reader.cancel();
  assert.equal((await child.status).code, 0);
});
