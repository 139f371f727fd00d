import assert from "node:assert/strict";
import * as v from "valibot";
import * as api from "../../lib/control/api.ts";
import { type Route, type RouteName, ROUTES } from "../../lib/control/api.ts";
import { CONTROL_LIMITS } from "../../io/control/server.ts";
import { EXAMPLES, withReference } from "../../tools/control_reference.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PAGE = Deno.readTextFileSync(`${ROOT}docs/control.md`);
const SOURCE = Deno.readTextFileSync(`${ROOT}lib/control/api.ts`);

Deno.test("docs/control.md: is as the schema makes it (else: deno task generate)", () => {
  assert.equal(withReference(PAGE, SOURCE), PAGE);
});

Deno.test("docs/control.md: has every route, and every field of every document", () => {
  for (const [name, { method, path }] of Object.entries(ROUTES)) {
    assert.ok(PAGE.includes(`### ${method} ${path}\n\n\`${name}\``), name);
  }
  for (const [name, schema] of Object.entries(api)) {
    if (typeof schema !== "object" || !("entries" in schema)) continue;
    const section = PAGE.slice(PAGE.indexOf(`### ${name}\n`)).split("\n### ")[0]!;
    for (const field of Object.keys(schema.entries as object)) {
      assert.ok(section.includes(`| \`${field}\``), `${name}.${field}`);
    }
  }
});

Deno.test("docs/control.md: has every event of a session, with its fields", () => {
  const source = Deno.readTextFileSync(`${ROOT}lib/control/event.ts`);
  const [, body] = /export type ClientRunEvent =([^]*?);\n\n/.exec(source)!;
  const rows = PAGE.slice(PAGE.indexOf("## Events"), PAGE.indexOf("## Health")).split("\n");
  let count = 0;
  for (const variant of body!.split(/^ {2}\| /m).slice(1)) {
    const name = /event: "([\w-]+)"/.exec(variant)![1]!;
    const row = rows.find((line) => line.startsWith(`| \`${name}\``));
    assert.ok(row !== undefined, name);
    for (const [, field] of variant.matchAll(/readonly (\w+)\??:/g)) {
      assert.ok(field === "event" || row.includes(`\`${field}\``), `${name}.${field}`);
    }
    count++;
  }
  assert.ok(count > 10);
});

Deno.test("EXAMPLES: are requests that their routes take", () => {
  for (const [name, example] of Object.entries(EXAMPLES)) {
    const route: Route = ROUTES[name as RouteName];
    assert.deepEqual(v.parse(route.request, example), example, name);
  }
  for (const [name, { request }] of Object.entries(ROUTES) as [RouteName, Route][]) {
    const needsFields = !v.is(request, {});
    assert.ok(!needsFields || name in EXAMPLES || name === "credential", `${name} has an example`);
  }
});

Deno.test("docs/control.md: tells the bounds that the server has", () => {
  const { connections, streams, headMs, bodyMs, writeMs } = CONTROL_LIMITS;
  const text = PAGE.replace(/\s+/g, " ");
  assert.ok(text.includes(`${connections} connections and ${streams} streams`));
  assert.ok(
    text.includes(`${headMs / 1000} s for a head, ${bodyMs / 1000} s for a body, ${writeMs / 1000} s for`),
  );
});
