/**
 * Names at the start and at the end of a session, by each manager of DNS: applications look them up without pause, and
 * every question that comes to a sentinel is answered.
 */

import assert from "node:assert/strict";
import { DNS_MANAGERS, PLAIN_FILE } from "./support/dns_managers.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

/** Looks a name up, over and over, and says what came. */
const LOOKUPS = `
while :; do
  tries=$1
  until found=$(getent ahosts www.public.test) || [ $((tries -= 1)) = 0 ]; do sleep 0.02; done
  if [ -n "$found" ]; then echo found; else echo "failed: $(tr '\\n' ' ' </etc/resolv.conf)"; fi
done
`;
const LOOPS = 3;
const ROUNDS = Deno.env.get("FZ_CRASH_ALL") === "1" ? [1, 2, 3] : [1];

for (const { name, control, prepare } of [PLAIN_FILE, ...DNS_MANAGERS]) {
  Deno.test(
    `fz run: names are found all the time, from before its start until after its end, with ${name}`,
    onNetwork({ underlay: "ipv4" }, async (network, check) => {
      const { client } = network;
      await prepare(network);
      const capture = client.spawn([
        "tcpdump",
        "-i",
        "any",
        "-nn",
        "-l",
        "udp port 53 and net 100.100.111.0/24",
      ]);
      await eventually(() => assert.match(capture.stderr, /listening/));
      // openresolv empties the file before it writes it.
      const tries = name === "openresolv" ? "10" : "1";
      const loops = Array.from({ length: LOOPS }, () => client.spawn(["sh", "-c", LOOKUPS, "loop", tries]));
      const foundMore = async () => {
        for (const loop of loops) {
          const before = loop.stdout.length;
          await eventually(() => assert.ok(loop.stdout.length > before + 100, loop.describe()));
        }
      };
      for (const round of ROUNDS) {
        await check(`round ${round}`, async () => {
          await foundMore();
          const session = await network.startClient({ dnsControl: control });
          await foundMore();
          assert.equal((await session.process.stop()).code, 0);
          await foundMore();
        });
      }
      await Promise.all(loops.map((loop) => loop.stop()));
      await capture.stop();
      assert.deepEqual(
        loops.flatMap(({ stdout }) => stdout.split("\n").filter((line) => line.startsWith("failed"))),
        [],
      );
      const { asked, unanswered } = questionsIn(capture.stdout);
      assert.ok(asked > 0);
      assert.deepEqual(unanswered, []);
    }),
  );
}

/** Returns how many questions came to sentinels, and the lines of those that no answer followed. */
function questionsIn(capture: string): { asked: number; unanswered: string[] } {
  const open = new Map<string, string>();
  let asked = 0;
  for (const line of capture.split("\n")) {
    const question = / IP \S+\.(\d+) > 100\.100\.111\.\d+\.53: (\d+)/.exec(line);
    const answer = / IP 100\.100\.111\.\d+\.53 > \S+\.(\d+): (\d+)/.exec(line);
    if (question !== null) {
      asked++;
      open.set(`${question[1]} ${question[2]}`, line);
    } else if (answer !== null) open.delete(`${answer[1]} ${answer[2]}`);
  }
  return { asked, unanswered: [...open.values()] };
}
