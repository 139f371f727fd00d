import assert from "node:assert/strict";
import { openEvents } from "../../io/events.ts";
import { Fault } from "../../lib/base/fault.ts";

Deno.test("openEvents: appends one document a line, with the time", async () => {
  const path = await Deno.makeTempFile({ prefix: "fz-test-" });
  Deno.env.set("FZ_EVENTS", path);
  try {
    const { emit, close } = openEvents();
    emit({ event: "portal-connected" });
    emit({ event: "ready" });
    close();
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ event }) => event), ["portal-connected", "ready"]);
    assert.ok(lines.every(({ time }) => !Number.isNaN(Date.parse(time))));
  } finally {
    Deno.env.delete("FZ_EVENTS");
    await Deno.remove(path);
  }
});

Deno.test("openEvents: does nothing without the variable, and says so when the file cannot be", () => {
  Deno.env.delete("FZ_EVENTS");
  openEvents().emit({ event: "stopped" });
  Deno.env.set("FZ_EVENTS", "/nonexistent/folder/events");
  try {
    assert.throws(() => openEvents(), Fault);
  } finally {
    Deno.env.delete("FZ_EVENTS");
  }
});
