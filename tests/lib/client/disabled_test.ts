import assert from "node:assert/strict";
import { Harness, INTERNET, OFFICE, OWN_4, syn, udp, WIKI } from "./harness.ts";

Deno.test("setDisabledResources stops traffic to a resource, and takes its routes back", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  connect(harness);
  assert.equal(harness.send(syn("10.20.1.1")), true);
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  assert.equal(harness.send(syn("10.20.1.1")), false);
  assert.equal(harness.session.status(harness.now).drops["unknown-resource"], 1);
  assert.deepEqual(harness.takeRequests(), []);
  assert.equal(harness.receive("g1", udp("10.20.3.4:80", `${OWN_4}:99`)), undefined);
  const [config] = harness.takeEvents().flatMap((event) => event.type === "interface" ? [event.config] : []);
  assert.ok(config?.routes.every((route) => route.toString() !== OFFICE.address));
});

Deno.test("setDisabledResources says goodbye to a gateway that served nothing else", () => {
  const lab = { ...OFFICE, id: "r-lab", address: "10.30.0.0/16" };
  const harness = Harness.started([OFFICE, lab]);
  connect(harness);
  harness.session.requestAccess("r-lab", harness.now);
  harness.grant("r-lab", "g1");
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  assert.deepEqual(harness.node.goodbyes, []);
  harness.session.setDisabledResources([OFFICE.id, "r-lab"], harness.now);
  assert.deepEqual(harness.node.goodbyes, ["g1"]);
});

Deno.test("setDisabledResources hands names of a disabled resource to the upstream resolver", () => {
  const harness = Harness.started([WIKI]);
  harness.session.setDisabledResources([WIKI.id], harness.now);
  harness.ask("a.wiki.corp.example");
  assert.deepEqual(harness.takeAnswers(), []);
  assert.ok(harness.session.pollDnsQuery());
  harness.session.setDisabledResources([], harness.now);
  harness.ask("b.wiki.corp.example");
  assert.equal(harness.takeAnswers().length, 1);
});

Deno.test("setDisabledResources holds for resources that come later, change, or come again after a reconnect", () => {
  const harness = Harness.started([]);
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  assert.deepEqual(harness.takeEvents(), []);
  const assertOff = () => {
    harness.send(syn("10.20.1.1"));
    assert.deepEqual(harness.takeRequests(), []);
    assert.equal(resource(harness)?.isActive, false);
  };
  harness.portal("resource_created_or_updated", OFFICE);
  assertOff();
  harness.portal("resource_created_or_updated", { ...OFFICE, name: "New office", address: "10.0.0.0/8" });
  assertOff();
  harness.portal("resource_deleted", OFFICE.id);
  harness.session.handlePortalLost(harness.now);
  harness.session.handlePortalJoined(harness.now);
  harness.init([OFFICE]);
  assertOff();
});

Deno.test("setDisabledResources turns down grants and refusals that were under way", () => {
  const harness = Harness.started([OFFICE]);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  harness.grant(OFFICE.id, "g1");
  assert.equal(harness.node.connections.size, 0);
  harness.portal("authorization_creation_failed", {
    resource_id: OFFICE.id,
    reason: "forbidden",
    violated_properties: [],
  });
  assert.equal(resource(harness)?.denial, undefined);
  assert.equal(harness.session.requestAccess(OFFICE.id, harness.now), "inactive");
});

Deno.test("setDisabledResources can be taken back: the next packet asks for access again", () => {
  const harness = Harness.started([OFFICE]);
  connect(harness);
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  harness.session.setDisabledResources([], harness.now);
  assert.equal(resource(harness)?.isActive, true);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
});

Deno.test("setDisabledResources leaves an address to the resource around it", () => {
  const wide = { ...OFFICE, id: "r-wide", address: "10.0.0.0/8" };
  const harness = Harness.started([OFFICE, wide, INTERNET]);
  harness.session.setDisabledResources([OFFICE.id], harness.now);
  harness.send(syn("10.20.1.1"));
  assert.deepEqual(harness.takeRequests(), ["r-wide"]);
});

Deno.test("explain names the disabled resources that would have matched", () => {
  const harness = Harness.started([OFFICE, WIKI]);
  harness.session.setDisabledResources([OFFICE.id, WIKI.id], harness.now);
  for (const [target, id] of [["10.20.1.1", OFFICE.id], ["a.wiki.corp.example", WIKI.id]] as const) {
    const { verdict, resources, disabled } = harness.session.explain(target, harness.now);
    assert.deepEqual([verdict, resources, disabled.map((each) => each.id)], ["not-tunnelled", [], [id]]);
  }
});

Deno.test("accessStatus tells how far access to one resource has come", () => {
  const harness = Harness.started([OFFICE]);
  const state = () => {
    const { resource, gateway } = harness.session.accessStatus(OFFICE.id, harness.now);
    return [resource?.access, gateway?.id, gateway?.path?.kind];
  };
  assert.deepEqual(state(), ["none", undefined, undefined]);
  harness.session.requestAccess(OFFICE.id, harness.now);
  assert.deepEqual(state(), ["requested", undefined, undefined]);
  harness.grant(OFFICE.id, "g1");
  assert.deepEqual(state(), ["connecting", "g1", undefined]);
  harness.connect("g1");
  assert.deepEqual(state(), ["connected", "g1", "direct"]);
  assert.deepEqual(harness.session.accessStatus("r-none", harness.now), {
    isPortalJoined: true,
    hasRelay: true,
    resource: undefined,
    gateway: undefined,
  });
});

function connect(harness: Harness): void {
  harness.session.requestAccess(OFFICE.id, harness.now);
  harness.takePortal();
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
}

function resource(harness: Harness) {
  return harness.session.status(harness.now).resources.find(({ id }) => id === OFFICE.id);
}
