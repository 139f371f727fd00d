import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { EchoProbes } from "../../../lib/client/echo.ts";
import { buildEcho, buildUnreachable, parseEcho } from "../../../lib/wire/icmp.ts";
import { Harness, OFFICE, OWN_4, OWN_6, parsed, syn, udp } from "./harness.ts";

const HOST = IpAddress.from("10.20.1.1");
const HOST_6 = IpAddress.from("fd00:aaaa::1");

Deno.test("EchoProbes recognises the answer to a request and how long it took", () => {
  for (const [source, destination] of [[OWN_4, HOST], [OWN_6, HOST_6]] as const) {
    const probes = new EchoProbes(seededRng(1));
    const { id, packet } = probes.request(source, destination, 1000, 5)!;
    assert.equal(probes.handlePacket(parsed(answer(packet)), 17), true);
    assert.deepEqual(probes.pollOutcome(), { id, result: { type: "reply", rttMs: 12 } });
    assert.equal(probes.handlePacket(parsed(answer(packet)), 18), false, "a second answer is not ours");
    assert.equal(probes.pollTimeout(), undefined);
  }
});

Deno.test("EchoProbes recognises errors that quote a request, and says what they mean", () => {
  for (const [source, destination] of [[OWN_4, HOST], [OWN_6, HOST_6]] as const) {
    for (const [kind, reason] of [["prohibited", "prohibited"], ["network", "unreachable"]] as const) {
      const probes = new EchoProbes(seededRng(1));
      const { id, packet } = probes.request(source, destination, 1000, 5)!;
      assert.equal(probes.handlePacket(parsed(buildUnreachable(parsed(packet), kind)!), 6), true);
      assert.deepEqual(probes.pollOutcome(), { id, result: { type: "refused", reason } });
    }
  }
});

Deno.test("EchoProbes leaves alone what other programs wait for", () => {
  const probes = new EchoProbes(seededRng(1));
  const { packet } = probes.request(OWN_4, HOST, 1000, 0)!;
  const { identifier, sequence, payload } = parseEcho(parsed(packet))!;
  const reply = { kind: "reply", source: HOST, destination: OWN_4, identifier, sequence, payload } as const;
  for (
    const other of [
      { ...reply, payload: payload.map((byte) => byte ^ 1) },
      { ...reply, payload: payload.subarray(1) },
      { ...reply, identifier: identifier ^ 1 },
      { ...reply, sequence: sequence ^ 1 },
      { ...reply, source: IpAddress.from("10.20.1.2") },
      { ...reply, kind: "request" as const },
    ]
  ) {
    assert.equal(probes.handlePacket(parsed(buildEcho(other)), 1), false);
  }
  const theirs = parsed(
    buildEcho({ ...reply, kind: "request", source: OWN_4, destination: HOST, identifier: 1 }),
  );
  assert.equal(probes.handlePacket(parsed(buildUnreachable(theirs, "network")!), 1), false);
  assert.equal(probes.handlePacket(parsed(udp("10.20.1.1:7", `${OWN_4}:7`)), 1), false);
  assert.equal(probes.pollOutcome(), undefined);
});

Deno.test("EchoProbes gives up at the deadline, and takes no more than 64 requests at a time", () => {
  const probes = new EchoProbes(seededRng(1));
  const ids = Array.from({ length: 64 }, () => probes.request(OWN_4, HOST, 1000, 0)!.id);
  assert.equal(probes.request(OWN_4, HOST, 1000, 0), undefined);
  assert.equal(probes.pollTimeout()?.at, 1000);
  probes.handleTimeout(999);
  assert.equal(probes.pollOutcome(), undefined);
  probes.handleTimeout(1000);
  for (const id of ids) assert.deepEqual(probes.pollOutcome(), { id, result: { type: "timeout" } });
  assert.ok(probes.request(OWN_4, HOST, 1000, 1000));
});

Deno.test("EchoProbes gives every request exactly one outcome, whatever order answers come in", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ type: fc.constant("ask" as const), timeout: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ type: fc.constant("answer" as const), which: fc.nat(80) }),
      fc.record({ type: fc.constant("refuse" as const), which: fc.nat(80) }),
      fc.record({ type: fc.constant("pass" as const), ms: fc.nat(30) }),
      fc.record({ type: fc.constant("noise" as const), bytes: fc.uint8Array({ maxLength: 60 }) }),
    ),
    { maxLength: 100 },
  );
  fc.assert(fc.property(fc.nat(), steps, (seed, script) => {
    const probes = new EchoProbes(seededRng(seed));
    const sent: { id: number; packet: Uint8Array }[] = [];
    const outcomes = new Set<number>();
    let now = 0;
    const collect = () => {
      for (let next = probes.pollOutcome(); next !== undefined; next = probes.pollOutcome()) {
        assert.equal(outcomes.has(next.id), false);
        outcomes.add(next.id);
      }
    };
    for (const step of script) {
      if (step.type === "ask") {
        const request = probes.request(OWN_4, HOST, step.timeout, now);
        if (request !== undefined) sent.push(request);
      } else if (step.type === "pass") probes.handleTimeout(now += step.ms);
      else if (step.type === "noise") {
        const packet = buildEcho({
          ...{ kind: "reply", source: HOST, destination: OWN_4, identifier: 1, sequence: 1 },
          payload: step.bytes,
        });
        assert.equal(probes.handlePacket(parsed(packet), now), false);
      } else {
        const target = sent[step.which];
        if (target === undefined) continue;
        const reply = step.type === "answer"
          ? answer(target.packet)
          : buildUnreachable(parsed(target.packet), "network")!;
        const isOpen = !outcomes.has(target.id);
        assert.equal(probes.handlePacket(parsed(reply), now), isOpen);
      }
      collect();
    }
    probes.handleTimeout(now + 1000);
    collect();
    assert.deepEqual([...outcomes].sort((a, b) => a - b), sent.map(({ id }) => id));
  }));
});

Deno.test("ClientSession sends echo requests through the tunnel and keeps their answers from the TUN device", () => {
  const harness = Harness.started([OFFICE]);
  harness.session.requestAccess(OFFICE.id, harness.now);
  harness.grant(OFFICE.id, "g1");
  harness.connect("g1");
  harness.takePackets();
  const id = harness.session.sendEcho(HOST, 1000, harness.now);
  const [sent] = harness.node.sent.splice(0);
  assert.ok(sent);
  harness.now += 20;
  assert.equal(harness.receive("g1", answer(sent.packet)), undefined);
  assert.deepEqual(harness.session.pollEcho(), { id, result: { type: "reply", rttMs: 20 } });
  const echo = harness.session.sendEcho(IpAddress.from("100.81.7.1"), 1000, harness.now);
  const [toGateway] = harness.node.sent.splice(0);
  harness.receive("g1", answer(toGateway!.packet));
  assert.deepEqual(harness.session.pollEcho(), { id: echo, result: { type: "reply", rttMs: 0 } });
});

Deno.test("ClientSession holds an echo request until the gateway is connected, and tells of its timeout", () => {
  const harness = Harness.started([OFFICE]);
  const id = harness.session.sendEcho(HOST, 1000, harness.now);
  assert.deepEqual(harness.takeRequests(), [OFFICE.id]);
  assert.equal(harness.session.pollTimeout()?.reason, "echo request");
  harness.now += 1000;
  harness.session.handleTimeout(harness.now);
  assert.deepEqual(harness.session.pollEcho(), { id, result: { type: "timeout" } });
});

Deno.test("ClientSession tells of an echo request that a filter forbids, and the TUN device hears nothing", () => {
  const web = { ...OFFICE, filters: [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }] };
  const harness = Harness.started([web]);
  const id = harness.session.sendEcho(HOST, 1000, harness.now);
  assert.deepEqual(harness.session.pollEcho(), { id, result: { type: "refused", reason: "prohibited" } });
  assert.deepEqual(harness.takePackets(), []);
  harness.send(syn("10.20.1.1", 22));
  assert.equal(harness.takePackets().length, 1, "other programs are told as ever");
});

Deno.test("ClientSession sends no echo request before it has an address", () => {
  assert.equal(new Harness().session.sendEcho(HOST, 1000, 0), undefined);
});

/** What the host that `request` is for answers. */
function answer(request: Uint8Array): Uint8Array {
  const packet = parsed(request);
  const { identifier, sequence, payload } = parseEcho(packet)!;
  const { source, destination } = packet;
  return buildEcho({
    kind: "reply",
    source: destination,
    destination: source,
    identifier,
    sequence,
    payload,
  });
}
