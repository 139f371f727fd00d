import assert from "node:assert/strict";
import { Outbox, type OwnCandidates } from "../../../lib/channel/outbox.ts";

type Message = { readonly event: string; readonly candidates?: readonly string[] };

function newOutbox(): Outbox<Message> {
  return new Outbox(({ peerId, isValid, candidates }: OwnCandidates): Message => ({
    event: `${isValid ? "candidates" : "invalidated"} for ${peerId}`,
    candidates,
  }));
}

function drain(outbox: Outbox<Message>): Message[] {
  const messages: Message[] = [];
  for (let next = outbox.poll(); next !== undefined; next = outbox.poll()) messages.push(next);
  return messages;
}

Deno.test("Outbox gathers candidates of one kind for one peer, and says everything else first", () => {
  const outbox = newOutbox();
  outbox.handleJoined();
  outbox.signal("a", "1", true);
  outbox.signal("a", "1", true);
  outbox.signal("a", "2", true);
  outbox.signal("a", "2", false);
  outbox.signal("b", "3", true);
  assert.equal(outbox.send({ event: "confirmed" }), true);
  assert.deepEqual(drain(outbox), [
    { event: "confirmed" },
    { event: "candidates for a", candidates: ["1", "2"] },
    { event: "invalidated for a", candidates: ["2"] },
    { event: "candidates for b", candidates: ["3"] },
  ]);
});

Deno.test("Outbox keeps candidates, and nothing else, while the portal is away", () => {
  const outbox = newOutbox();
  assert.equal(outbox.send({ event: "too early" }), false);
  outbox.handleJoined();
  outbox.send({ event: "too late" });
  outbox.signal("a", "1", true);
  outbox.signal("b", "2", true);
  outbox.handleLost();
  outbox.signal("b", "3", true);
  outbox.forgetPeer("a");
  assert.deepEqual(drain(outbox), []);
  outbox.handleJoined();
  assert.deepEqual(drain(outbox), [{ event: "candidates for b", candidates: ["2", "3"] }]);
});

Deno.test("Outbox.sendOnce lets no message wait twice", () => {
  const outbox = newOutbox();
  outbox.handleJoined();
  for (let count = 0; count < 3; count++) outbox.sendOnce({ event: "no_relays" });
  assert.deepEqual(drain(outbox), [{ event: "no_relays" }]);
  outbox.sendOnce({ event: "no_relays" });
  assert.equal(drain(outbox).length, 1);
});

Deno.test("Outbox stays small while the portal is away, whatever the candidates do", () => {
  const outbox = newOutbox();
  for (let count = 0; count < 100_000; count++) outbox.signal("a", `candidate:${count}`, true);
  for (let count = 0; count < 100; count++) outbox.signal("b", "candidate:same", true);
  outbox.handleJoined();
  const messages = drain(outbox);
  assert.equal(messages.length, 1024);
  assert.ok(messages.every(({ candidates }) => candidates!.length <= 64));
  assert.deepEqual(messages.at(-1)?.candidates, ["candidate:same"]);
});
