import assert from "node:assert/strict";
import { LastAnswers } from "../../io/last_answers.ts";
import type { PacketTap } from "../../io/loop.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { buildUdp } from "../../lib/wire/udp.ts";

const APPLICATION = IpAddress.from("100.64.0.1");
const SENTINEL = IpAddress.from("100.100.111.1");
/** Longer than any test. */
const FOR_EVER = 600_000;
const ELSEWHERE = IpAddress.from("172.20.0.10");

Deno.test("LastAnswers: ends when nobody asks, and lets go of the packets", async () => {
  const { given, close, hasTap } = watch();
  await given();
  await given();
  assert.equal(hasTap(), true);
  close();
  assert.equal(hasTap(), false);
});

Deno.test("LastAnswers: waits for the answer to a question, by port and number", async () => {
  const { show, given, story } = watch(FOR_EVER);
  show(question(7), "out");
  show(question(8), "out");
  const end = given();
  await sleep(150);
  assert.deepEqual(story, []);
  show(answer(7), "in");
  show(answer(8, 4001), "in");
  await sleep(150);
  assert.deepEqual(story, []);
  show(answer(8), "in");
  await end;
});

Deno.test("LastAnswers: has an end where an answer never comes, or questions never end", async () => {
  const { show, given } = watch();
  show(question(7), "out");
  const asking = setInterval(() => show(question(8), "out"), 10);
  await given();
  clearInterval(asking);
});

Deno.test("LastAnswers: takes no notice of what is no question to a sentinel", async () => {
  const { show, given, story } = watch(FOR_EVER);
  show(question(7, ELSEWHERE), "out");
  show(new Uint8Array(), "out");
  show(question(7).subarray(0, 30), "out");
  show(buildUdp(datagram(APPLICATION, SENTINEL, 4000, 53, new Uint8Array(1))), "out");
  show(buildUdp(datagram(APPLICATION, SENTINEL, 4000, 54, new Uint8Array(12))), "out");
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, 30_000));
  await Promise.race([given(), late]);
  clearTimeout(timer);
  assert.deepEqual(story, ["given"]);
});

function watch(limit?: number) {
  let tap: PacketTap | undefined;
  const story: string[] = [];
  const answers = new LastAnswers((added) => {
    tap = added;
    return () => tap = undefined;
  }, limit);
  return {
    story,
    show: (...args: Parameters<PacketTap>) => tap?.(...args),
    close: () => answers.close(),
    hasTap: () => tap !== undefined,
    given: () => answers.given().then(() => void story.push("given")),
  };
}

function question(id: number, to = SENTINEL): Uint8Array {
  return buildUdp(datagram(APPLICATION, to, 4000, 53, message(id)));
}

function answer(id: number, port = 4000): Uint8Array {
  return buildUdp(datagram(SENTINEL, APPLICATION, 53, port, message(id)));
}

function datagram(
  source: IpAddress,
  destination: IpAddress,
  sourcePort: number,
  destinationPort: number,
  payload: Uint8Array,
) {
  return { source, destination, sourcePort, destinationPort, payload };
}

function message(id: number): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes[1] = id;
  return bytes;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
