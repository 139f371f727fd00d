import assert from "node:assert/strict";
import { Stages } from "../../cli/stages.ts";

function run(columns: number | undefined, canRedraw: boolean): string {
  let written = "";
  const stream = { isTerminal: true, columns, write: (text: string) => void (written += text) };
  const stages = new Stages(stream, canRedraw, "session", () => 0);
  stages.reach("session", "portal");
  stages.reach("portal", "resources");
  stages.note("the portal is far away");
  stages.end();
  return written;
}

Deno.test("Stages: keep to one line, and what is waited for on it", () => {
  const lines = run(30, true).split("\r\x1b[K").slice(1);
  assert.equal(lines.at(-1), "");
  assert.equal(lines.at(-2), "the portal is far away …");
  assert.ok(lines.every((line) => line.length < 30), JSON.stringify(lines));
  assert.match(run(undefined, true), /session 0\.0 ms · portal 0\.0 ms · the portal is far away …/);
  assert.equal(run(10, true).split("\r\x1b[K").at(-2), "the port…");
});

Deno.test("Stages: write a line a stage where none can be written anew", () => {
  assert.equal(run(80, false), "fz: session 0.0 ms\nfz: portal 0.0 ms\nfz: the portal is far away\n");
});
