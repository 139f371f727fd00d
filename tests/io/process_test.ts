import assert from "node:assert/strict";
import { processStart, processStartByPs } from "../../io/service/process.ts";

for (const [name, start] of Object.entries({ processStart, processStartByPs })) {
  Deno.test(`${name}: is the same for as long as a process lives, and undefined when it is gone`, async () => {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    const first = await start(child.pid);
    assert.notEqual(first, undefined);
    assert.equal(await start(child.pid), first);
    child.kill("SIGKILL");
    await child.status;
    assert.equal(await start(child.pid), undefined);
  });
}

Deno.test("processStartByPs: does not depend on who asks where", async () => {
  const before = Deno.env.get("TZ");
  try {
    Deno.env.set("TZ", "Asia/Tokyo");
    const there = await processStartByPs(Deno.pid);
    Deno.env.set("TZ", "America/Lima");
    assert.equal(await processStartByPs(Deno.pid), there);
  } finally {
    if (before === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", before);
  }
});
