import assert from "node:assert/strict";
import fc from "fast-check";
import { LOG_LEVELS, LogFilter } from "../../../lib/control/log_filter.ts";

function filter(text: string): LogFilter {
  const parsed = LogFilter.parse(text);
  assert.ok(parsed.ok);
  return parsed.value;
}

function level(text: string, category: string): string {
  return LOG_LEVELS[filter(text).threshold(category)]!;
}

Deno.test("LogFilter.threshold: takes the most specific category, else the level for all", () => {
  const text = "warn,client=info,client.dns=trace";
  assert.equal(level(text, "client.dns"), "trace");
  assert.equal(level(text, "client.dns.cache"), "trace");
  assert.equal(level(text, "client.router"), "info");
  assert.equal(level(text, "clients"), "warn");
  assert.equal(level("", "any"), "info");
});

Deno.test("LogFilter.parse: understands filters of the Rust client", () => {
  assert.equal(level("debug,snownet::agent=trace", "snownet.agent"), "trace");
  assert.equal(level("*=WARNING", "x"), "warn");
});

Deno.test("LogFilter.parse: quotes the part that is wrong", () => {
  const parsed = LogFilter.parse("info,dns=loud");
  assert.equal(parsed.ok, false);
  assert.match(parsed.ok ? "" : parsed.reason, /"dns=loud".*trace/);
});

Deno.test("LogFilter.toString: parses back to the same filter", () => {
  for (const text of ["info", "off,a.b=trace", "error,x=off,y=debug"]) {
    assert.equal(filter(text).toString(), text);
  }
});

Deno.test("LogFilter.parse: never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    LogFilter.parse(text);
  }));
});
