/**
 * `kill -9` after every single system call by which a session changes its machine, where a daemon or a program manages
 * DNS: names are found at once without anybody's help, what the manager knows is as before, and `fz cleanup`, or the next
 * session, leaves the machine exactly as it was. FZ_CRASH_ALL=1 tries every step, otherwise every so many.
 */

import assert from "node:assert/strict";
import { DNS_MANAGERS, type DnsManager } from "./support/dns_managers.ts";
import { machineState } from "./support/machine_state.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { Stepper } from "./support/stepper.ts";

const IS_WHOLE = Deno.env.get("FZ_CRASH_ALL") === "1";
/** More than there are steps of anything. */
const MAX_STEPS = 400;
/** What only this way of DNS does. */
const OWN_STEP = /resolve1|NetworkManager|run\/resolvconf/;

for (const manager of DNS_MANAGERS) {
  Deno.test(
    `fz run: killed after any step, it leaves nothing that lasts with ${manager.name}`,
    onNetwork({ underlay: "ipv4" }, async (network, check) => {
      await manager.prepare(network);
      const known = await manager.state(network.client);
      const run = ["run", "--dns-control", manager.control, "--exit"];
      const env = network.programEnv();
      // Its folders are there from then on; and it tells which steps there are.
      const { steps, stderr } = await new Stepper(network.client, {
        command: network.command(run),
        env,
        killAt: Infinity,
      }).outcome;
      const own = steps.flatMap((step, index) => OWN_STEP.test(step) ? [index + 1] : []);
      assert.notDeepEqual(own, [], stderr);
      // A daemon hears of the end of our device a moment later.
      await eventually(async () => assert.equal(await manager.state(network.client), known));
      const before = await stateOf(network, manager);
      const all = Array.from({ length: MAX_STEPS }, (_, index) => index + 1);
      let kills = 0;
      let slowest = 0;
      for (const killAt of IS_WHOLE ? all : sample(own)) {
        let wasKilled = false;
        await check(`step ${killAt}`, async () => {
          const stepper = new Stepper(network.client, { command: network.command(run), env, killAt });
          const killedAt = await stepper.killed.promise;
          const { killedAfter, stderr } = await stepper.outcome;
          wasKilled = killedAt !== undefined;
          if (wasKilled) {
            // Nobody helps but the guardian, and the manager itself. Who asks too early waits in vain: that is cut short
            // where the time is measured.
            const patience = IS_WHOLE ? "0.3" : "3";
            await eventually(() =>
              network.client.must(["timeout", patience, "getent", "hosts", "www.public.test"])
            );
            slowest = Math.max(slowest, performance.now() - killedAt!);
            await eventually(async () => assert.equal(await manager.state(network.client), before.manager));
            kills++;
            const [args, environment] = killAt % 2 === 0
              ? [["cleanup"], {}] as const
              : [run, network.clientEnv()] as const;
            const outcome = await network.fz([...args], environment);
            assert.equal(outcome.code, 0, outcome.stderr);
          }
          const after = await eventually(async () => {
            const state = await stateOf(network, manager);
            assert.equal(state.manager, before.manager, `after ${killedAfter}\n${stderr}`);
            return state;
          });
          assert.equal(after.machine, before.machine, `after ${killedAfter}\n${stderr}`);
        });
        if (IS_WHOLE && !wasKilled) break;
      }
      assert.notEqual(kills, 0);
      // For people: a test asserts no time.
      const after = `names found again within ${Math.round(slowest)} ms`;
      await check(`${kills} kills, ${own.length} steps of its own, ${after}`, () => Promise.resolve());
    }),
  );
}

/** Some of `steps`, from the first to the last. */
function sample(steps: readonly number[]): readonly number[] {
  const count = 2;
  const chosen = Array.from(
    { length: count },
    (_, index) => steps[Math.round(index * (steps.length - 1) / (count - 1))]!,
  );
  return [...new Set(chosen)];
}

async function stateOf({ client }: Network, manager: DnsManager) {
  return { manager: await manager.state(client), machine: await machineState(client) };
}
