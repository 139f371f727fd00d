/** Which gateway a client asks for after it lost one. */

import assert from "node:assert/strict";
import { Harness, OFFICE, syn } from "./harness.ts";

Deno.test("ClientSession prefers the gateway that it was cut off from, until that does not come back though relays do", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.0.1"));
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  harness.takePortal();
  const preferred = () =>
    harness.takePortal().flatMap((message) =>
      message.event === "request_authorization" ? [message.payload.connected_gateway_ids] : []
    );
  harness.fail("g1", true);
  assert.deepEqual(preferred(), [["g1"]]);
  harness.now += 3_600_000;
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(preferred(), [["g1"]], "an outage may be long");
  harness.now += 3000;
  harness.node.relaysHeardAt = harness.now;
  harness.send(syn("10.20.1.1"));
  harness.now += 14_999;
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(preferred(), [["g1"], ["g1"]]);
  harness.now += 3000;
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(preferred(), [[]]);
});

Deno.test("ClientSession avoids a gateway that failed while relays answered", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.0.1"));
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  harness.takePortal();
  harness.fail("g1");
  const [request] = harness.takePortal();
  assert.deepEqual(request?.payload, { resource_id: OFFICE.id, connected_gateway_ids: [] });
});

Deno.test("ClientSession asks anew for who only listens when a connection failed, three times in a row", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.0.1"));
  harness.takeRequests();
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  harness.fail("g1");
  assert.equal(harness.session.status(harness.now).resources[0]?.state, "unknown");
  for (const gateway of ["g2", "g3", "g4"]) {
    assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
    harness.grant(OFFICE.id, gateway);
    harness.fail(gateway);
  }
  assert.deepEqual(harness.takeRequests(), []);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("ClientSession waits for the next packet when a connection failed that never was one", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.0.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  harness.grant(OFFICE.id, "g1");
  harness.fail("g1");
  assert.deepEqual(harness.takeRequests(), []);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});
