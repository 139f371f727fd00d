/** Candidates and messages of one agent: what it takes, what it says, what it ignores. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { utf8 } from "../../../lib/base/bytes.ts";
import { IpAddress, SocketAddress } from "../../../lib/base/ip.ts";
import type { Candidate } from "../../../lib/ice/candidate.ts";
import { CLIENT_PROFILE, GATEWAY_PROFILE } from "../../../lib/ice/profile.ts";
import { Attribute, decodeStun, Method, StunWriter } from "../../../lib/wire/stun.ts";
import { mutatedBytes } from "../wire/mutation.ts";
import { CLIENT_CREDENTIALS, GATEWAY_CREDENTIALS, gather, newAgent, newWorld } from "./harness.ts";

Deno.test("IceAgent guesses that a peer's router keeps the host's port", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const signal = (kind: Candidate["kind"], text: string) => {
    const address = SocketAddress.from(text);
    return agent.addRemoteCandidate(
      { kind, address, base: address, priority: 9, foundation: "x", ufrag: undefined },
      0,
    );
  };
  assert(signal("host", "10.9.0.2:52625"));
  assert(signal("serverReflexive", "192.0.2.9:40000"));
  const addresses = agent.remoteCandidates.map(({ address }) => `${address}`);
  assert.deepEqual(addresses, ["10.9.0.2:52625", "192.0.2.9:40000", "192.0.2.9:52625"]);
});

Deno.test("IceAgent.addLocalCandidate refuses redundant and unusable candidates", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  assert(agent.addLocalCandidate({ kind: "host", address: base, base }, 0) !== undefined);
  assert.equal(agent.addLocalCandidate({ kind: "host", address: base, base }, 0), undefined);
  assert.equal(agent.addLocalCandidate({ kind: "serverReflexive", address: base, base }, 0), undefined);
  const linkLocal = SocketAddress.from("169.254.0.2:52625");
  assert.equal(agent.addLocalCandidate({ kind: "host", address: linkLocal, base: linkLocal }, 0), undefined);
});

Deno.test("IceAgent.addRemoteCandidate refuses another agent's ufrag", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const address = SocketAddress.from("10.0.0.2:52625");
  const candidate = { kind: "host", address, base: address, priority: 1, foundation: "x" } as const;
  assert.equal(agent.addRemoteCandidate({ ...candidate, ufrag: "zzzz" }, 0), false);
  assert.equal(agent.addRemoteCandidate({ ...candidate, ufrag: "gggg" }, 0), true);
});

Deno.test("IceAgent: a check carries the documented attributes in order, and its tag in the transaction id", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const address = SocketAddress.from("10.0.0.3:52625");
  agent.addRemoteCandidate({
    kind: "host",
    address,
    base: address,
    priority: 1,
    foundation: "x",
    ufrag: "gggg",
  }, 0);
  const { local, remote, payload } = agent.pollTransmit()!;
  assert(local.equals(base) && remote.equals(address));
  const decoded = decodeStun(payload);
  assert(decoded.ok);
  const message = decoded.value;
  assert.equal(message.username, "gggg:cccc");
  assert.equal(message.attribute(0x802a)?.length, 8);
  assert.equal(message.priority, 1862270719);
  assert.equal(message.useCandidate, false);
  assert(message.verifyIntegrity(utf8(GATEWAY_CREDENTIALS.password)) && message.verifyFingerprint());
  assert.deepEqual([...message.transactionId.subarray(0, 3)], [0, 0, 0xc]);
});

Deno.test("IceAgent: forged and foreign messages change nothing and are not answered", () => {
  const agent = newAgent(true, 0, CLIENT_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  const remote = SocketAddress.from("10.0.0.66:1");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  const request = (username: string, password: string, extra?: number) => {
    const writer = new StunWriter(Method.Binding, "request", new Uint8Array(12))
      .addText(Attribute.Username, username).addU32(Attribute.Priority, 1);
    if (extra !== undefined) writer.add(extra);
    const decoded = decodeStun(writer.addIntegrity(utf8(password)).finish());
    assert(decoded.ok);
    return decoded.value;
  };
  const { password } = CLIENT_CREDENTIALS;
  assert.equal(agent.handleStun(request("cccc:gggg", "wrong"), base, remote, 0), false);
  assert.equal(agent.handleStun(request("cccc:other", password), base, remote, 0), false);
  assert.equal(
    agent.handleStun(request("cccc:gggg", password, Attribute.UseCandidate), base, remote, 0),
    true,
  );
  assert.equal(
    agent.handleStun(request("cccc:gggg", password, Attribute.IceControlling), base, remote, 0),
    true,
  );
  assert.equal(agent.pollTransmit(), undefined);
  assert.equal(agent.remoteCandidates.length, 0);
  assert.equal(agent.handleStun(request("cccc:gggg", password), base, remote, 0), true);
  assert.notEqual(agent.pollTransmit(), undefined);
});

Deno.test("IceAgent: hostile authenticated peers cannot make it grow without bound", () => {
  const agent = newAgent(false, 0, GATEWAY_PROFILE);
  const base = SocketAddress.from("10.0.0.2:52625");
  agent.addLocalCandidate({ kind: "host", address: base, base }, 0);
  for (let index = 1; index <= 500; index++) {
    const bytes = new StunWriter(Method.Binding, "request", new Uint8Array(12))
      .addText(Attribute.Username, "gggg:cccc").addU32(Attribute.Priority, index)
      .addIntegrity(utf8(GATEWAY_CREDENTIALS.password)).finish();
    const decoded = decodeStun(bytes);
    assert(decoded.ok);
    const remote = new SocketAddress(IpAddress.from("192.0.2.1"), index);
    agent.handleStun(decoded.value, base, remote, index);
    while (agent.pollTransmit() !== undefined);
  }
  assert(agent.remoteCandidates.length <= 64);
});

Deno.test("IceAgent never throws on mutated messages", () => {
  const world = newWorld("none", "none");
  gather(world, false);
  const seen: Uint8Array[] = [];
  world.internet.filters.add((_source, _destination, payload) => seen.push(payload.slice()) > 0);
  world.simulation.runFor(3000);
  const { agent, host } = world.client;
  fc.assert(
    fc.property(mutatedBytes(seen), (bytes) => {
      const message = decodeStun(bytes);
      const remote = world.gateway.host.address()!;
      if (message.ok) agent.handleStun(message.value, host.address()!, remote, world.simulation.now);
      while (agent.pollTransmit() !== undefined);
    }),
  );
  assert.equal(agent.state, "connected");
});
