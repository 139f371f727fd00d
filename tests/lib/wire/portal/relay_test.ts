import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeRelayInbound, decodeRelayJoin } from "../../../../lib/wire/portal/relay.ts";

Deno.test("decodeRelayJoin takes a secret that is text, and nothing without end", () => {
  assert.deepEqual(decodeRelayJoin({ stamp_secret: "5a5a", more: 1 }), { stamp_secret: "5a5a" });
  for (const stamp_secret of ["", "x".repeat(256), 1, null]) {
    assert.equal(decodeRelayJoin({ stamp_secret }), undefined);
  }
});

Deno.test("decodeRelayInbound and decodeRelayJoin never throw on hostile JSON", () => {
  fc.assert(fc.property(fc.constantFrom("init", "__proto__", "x"), fc.jsonValue(), (event, payload) => {
    assert.equal(decodeRelayInbound(event, payload).ok, event === "init");
    decodeRelayJoin(payload);
  }));
});
