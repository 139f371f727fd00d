import assert from "node:assert/strict";
import { createLog, setLogFilter, setupLog } from "../../io/log.ts";
import { LogFilter } from "../../lib/control/log_filter.ts";

function filter(text: string): LogFilter {
  const parsed = LogFilter.parse(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

Deno.test("createLog: writes one line a record, fields as name=value", () => {
  const lines: string[] = [];
  setupLog({ filter: filter("info"), format: "text", write: (line) => lines.push(line) });
  createLog("client.dns").info("answered {not a template}", {
    name: "a b",
    count: 3,
    bytes: Uint8Array.of(1, 255),
  });
  assert.match(
    lines[0]!,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}client\.dns: answered \{not a template\} name="a b" count=3 bytes=01ff\n$/,
  );
});

Deno.test("createLog: keeps control characters of hostile text away from the terminal", () => {
  const lines: string[] = [];
  setupLog({ filter: filter("info"), format: "text", write: (line) => lines.push(line) });
  createLog("x").warn("name", { name: "\x1b[2Jevil\nline" });
  assert.equal(lines[0]!.includes("\x1b"), false);
  assert.equal(lines[0]!.trimEnd().includes("\n"), false);
  createLog("x").warn("access denied: \x1b[2J\n\x9b1m", { c1: "\x9b1m" });
  assert.match(lines[1]!, /WARN {2}x: access denied: \?\[2J\?\?1m c1="\?1m"\n$/);
});

Deno.test("createLog: follows a change of the filter at once", () => {
  const lines: string[] = [];
  setupLog({ filter: filter("info"), format: "json", write: (line) => lines.push(line) });
  const log = createLog("ffi.tun");
  log.debug("one");
  setLogFilter(filter("warn,ffi=debug"));
  log.debug("two", { error: new Error("cause") });
  setLogFilter(filter("off"));
  log.error("three");
  assert.deepEqual(lines.map((line) => JSON.parse(line).message), ["two"]);
  assert.deepEqual(JSON.parse(lines[0]!).fields, { error: "cause" });
});

Deno.test("part: is the log of a part, which a filter can name", () => {
  const lines: string[] = [];
  setupLog({ filter: filter("warn,ice=trace"), format: "json", write: (line) => lines.push(line) });
  const log = createLog("fz");
  log.part("ice").trace("seen");
  log.part("turn").info("not seen");
  log.info("not seen either");
  log.part("turn").part("ice").trace("parts are flat");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)).map(({ category, message }) => [category, message]),
    [
      ["ice", "seen"],
      ["ice", "parts are flat"],
    ],
  );
});
