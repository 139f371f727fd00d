import assert from "node:assert/strict";
import { sendNotice } from "../../ffi/linux/notify.ts";

/** Receives datagrams at a Unix socket with socat, and returns what came. */
async function received(address: string, isReady: () => Promise<boolean>, send: () => void): Promise<string> {
  const child = new Deno.Command("socat", { args: ["-u", address, "STDOUT"], stdout: "piped" }).spawn();
  try {
    for (let count = 0; count < 9000 && !await isReady(); count++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    send();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new TextDecoder().decode(value);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

Deno.test("sendNotice: reaches a socket in a folder", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/notify`;
  const text = await received(
    `UNIX-RECV:${path}`,
    () => Deno.stat(path).then(() => true, () => false),
    () => assert.equal(sendNotice(path, "READY=1"), true),
  );
  assert.equal(text, "READY=1");
  assert.equal(sendNotice(path, "READY=1"), false, "nobody is there any more");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("sendNotice: reaches a socket in the abstract namespace", async () => {
  const name = `fz-notify-${crypto.randomUUID()}`;
  const text = await received(
    `ABSTRACT-RECV:${name}`,
    async () => (await Deno.readTextFile("/proc/net/unix")).includes(`@${name}`),
    () => assert.equal(sendNotice(`@${name}`, "STATUS=Connected: 3 resources"), true),
  );
  assert.equal(text, "STATUS=Connected: 3 resources");
});

Deno.test("sendNotice: gives up quietly on what cannot be a socket", () => {
  assert.equal(sendNotice("", "x"), false);
  assert.equal(sendNotice("/nowhere/at/all", "x"), false);
  assert.equal(sendNotice(`/${"x".repeat(200)}`, "x"), false);
  assert.equal(sendNotice("@x", "x".repeat(10_000)), false);
});
