import assert from "node:assert/strict";
import plugin, { importFault } from "../../tools/lint_plugin.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

function complaints(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, ROOT + file, source).map((diagnostic) => diagnostic.message);
}

Deno.test("importFault: lets imports descend in rank and stay in their folder", () => {
  assert.equal(importFault("lib/node/node.ts", "lib/ice/agent.ts"), undefined);
  assert.equal(importFault("lib/node/node.ts", "lib/node/path.ts"), undefined);
  assert.equal(importFault("lib/mod.ts", "lib/client/session.ts"), undefined);
  assert.equal(importFault("io/relay.ts", "lib/relay/session.ts"), undefined);
  assert.equal(importFault("io/client.ts", "ffi/linux/tun.ts"), undefined);
  assert.equal(importFault("ffi/linux/tun.ts", "lib/base/fault.ts"), undefined);
  assert.equal(importFault("cli/mod.ts", "lib/base/fault.ts"), undefined);
});

Deno.test("importFault: names both folders when an import climbs, or crosses between siblings", () => {
  assert.match(importFault("lib/ice/agent.ts", "lib/turn/client.ts")!, /lib\/ice.*lib\/turn/);
  assert.match(importFault("lib/wire/ip.ts", "lib/node/node.ts")!, /lib\/wire.*lib\/node/);
  assert.match(importFault("lib/client/session.ts", "lib/gateway/session.ts")!, /lib\/client.*lib\/gateway/);
  assert.match(importFault("lib/base/ip.ts", "io/clock.ts")!, /lib\/.*io\//);
  assert.match(importFault("ffi/linux/tun.ts", "lib/dns/cache.ts")!, /ffi\/.*lib\/dns/);
  assert.match(importFault("cli/mod.ts", "io/client.ts")!, /cli\/.*io\//);
  assert.match(importFault("io/client.ts", "cli/mod.ts")!, /io\/.*cli\//);
});

Deno.test("importFault: asks for a rank when a folder of lib has none", () => {
  assert.match(importFault("lib/client/session.ts", "lib/novelty/thing.ts")!, /lib\/novelty\/ has no rank/);
  assert.match(importFault("lib/novelty/thing.ts", "lib/base/ip.ts")!, /lib\/novelty\/ has no rank/);
});

Deno.test("importFault: does not judge main.ts, tests and tools", () => {
  assert.equal(importFault("main.ts", "cli/mod.ts"), undefined);
  assert.equal(importFault("tests/lib/node/node_test.ts", "lib/node/node.ts"), undefined);
});

Deno.test("fz/import-ranks: sees imports, re-exports, dynamic imports and type imports", () => {
  const climbing = [
    'import { Node } from "../node/node.ts";',
    'export { Node } from "../node/node.ts";',
    'export * from "../node/node.ts";',
    'await import("../node/node.ts");',
    'let node: import("../node/node.ts").Node;',
  ];
  for (const source of climbing) assert.equal(complaints("lib/ice/agent.ts", source).length, 1, source);
});

Deno.test("fz/import-ranks: accepts packages and neighbours, and forbids computed imports in lib", () => {
  assert.deepEqual(complaints("lib/ice/agent.ts", 'import * as v from "valibot"; import "./pair.ts";'), []);
  assert.equal(complaints("lib/ice/agent.ts", "await import(name);").length, 1);
  assert.deepEqual(complaints("main.ts", "await import(name);"), []);
});

Deno.test("fz/purity: forbids clocks and dice in lib only", () => {
  for (const source of ["Date.now();", "Math.random();", "new Date();", "performance.now();"]) {
    assert.equal(complaints("lib/ice/agent.ts", source).length, 1, source);
    assert.deepEqual(complaints("io/clock.ts", source), [], source);
  }
});

Deno.test("fz/purity: allows dates made from a value, and other things called performance", () => {
  assert.deepEqual(
    complaints("lib/ice/agent.ts", "new Date(0); report.performance; ({ performance: 1 });"),
    [],
  );
});
