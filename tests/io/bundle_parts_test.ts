import assert from "node:assert/strict";
import { filePart } from "../../io/bundle/parts.ts";

Deno.test("filePart: takes the text of a file, and says why of what is none, a pipe without a writer too", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/file`, "nameserver 192.0.2.1\n");
    await new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).output();
    const part = async (name: string) => JSON.stringify(await filePart(name, `${folder}/${name}`));
    assert.match(await part("file"), /nameserver/);
    assert.match(await part("pipe"), /it is not a file/);
    assert.match(await part("none"), /there is none/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
