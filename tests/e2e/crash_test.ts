/**
 * `kill -9` after every single system call by which a session changes its machine, at its start, while it runs and at its
 * end: DNS works again at once without anybody's help, and `fz cleanup`, or the next session, leaves the machine exactly as
 * it was. FZ_CRASH_ALL=1 tries every step, otherwise every so many.
 */

import assert from "node:assert/strict";
import { machineState } from "./support/machine_state.ts";
import type { Network, Role } from "./support/network.ts";
import { type Check, eventually, onNetwork, sleep } from "./support/on_network.ts";
import { INTERNET } from "./support/seed.ts";
import { Stepper } from "./support/stepper.ts";

const WEB = "http://172.20.0.10/";
const IS_WHOLE = Deno.env.get("FZ_CRASH_ALL") === "1";
/** More than there are steps of anything. */
const MAX_STEPS = 400;
const RUN = ["run", "--dns-control", "etc-resolv-conf"];

Deno.test(
  "fz run: killed after any step of its start and its end, it leaves nothing that lasts",
  onNetwork({ underlay: "dual" }, async (network, check) => {
    const clean = await baseline(network);
    const killedAfter: string[] = [];
    const tryStep = async (name: string, killAt: number | RegExp) => {
      let wasKilled = false;
      await check(name, async () => {
        const stepper = new Stepper(network.client, {
          command: network.command([...RUN, "--exit"]),
          env: network.programEnv(),
          killAt,
        });
        wasKilled = await assertHarmless(network, clean, stepper, typeof killAt === "number" ? killAt : 1);
        if (wasKilled) killedAfter.push((await stepper.outcome).killedAfter!);
      });
      return wasKilled;
    };
    for (let killAt = 1; killAt <= MAX_STEPS; killAt += IS_WHOLE ? 1 : 8) {
      if (!await tryStep(`step ${killAt}`, killAt)) break;
    }
    // Threads make the numbers differ by a few from run to run: what was jumped over is tried by its looks.
    for (const kind of IS_WHOLE ? KINDS : []) {
      if (!killedAfter.some((call) => kind.test(call))) await tryStep(`step ${kind}`, kind);
    }
    assert.ok(killedAfter.length >= 4, killedAfter.join("\n"));
    for (const kind of IS_WHOLE ? KINDS : []) {
      assert.ok(killedAfter.some((call) => kind.test(call)), `${kind}: ${killedAfter.join("\n")}`);
    }
    await report(check, "start and end", killedAfter);
  }),
);

Deno.test(
  "fz run: killed after any step while it follows the portal, a switch or a signal, it leaves nothing that lasts",
  onNetwork({ underlay: "dual", resources: [INTERNET] }, async (network, check) => {
    const clean = await baseline(network);
    const changes: readonly Change[] = [
      {
        name: "a resource comes and goes",
        steps: /RTM_(NEW|DEL)ROUTE/,
        begin: async () => {
          const added = await network.admin("POST", "/v1/resources", {
            ...{ name: "more", type: "cidr", address: "10.77.0.0/16", site: "site" },
          });
          await network.admin("POST", "/v1/policies", { group: "robots", resource: "more" });
          await sleep(300);
          await network.admin("DELETE", `/v1/resources/${(added as { id: string }).id}`);
        },
      },
      {
        name: "full tunnel goes on and off",
        steps: /RTM_(NEW|DEL)ROUTE/,
        begin: async () => {
          for (const word of ["on", "off"]) {
            await network.fz(["internet", word], {});
            await sleep(200);
          }
        },
      },
      { name: "SIGTERM", begin: (client) => Promise.resolve(client.process.kill("SIGTERM")) },
    ];
    for (const change of changes) {
      const killedAfter: string[] = [];
      for (let killAt = 1; killAt <= MAX_STEPS; killAt += IS_WHOLE ? 1 : 9) {
        let wasKilled = false;
        await check(`${change.name}: step ${killAt}`, async () => {
          const client = await network.startClient();
          await eventually(() => network.curl(WEB, "--max-time", "3"));
          const stepper = new Stepper(network.client, { attachTo: await sessionPid(network), killAt });
          await stepper.attached;
          const begun = change.begin(client);
          await Promise.race([begun, stepper.outcome]);
          // What is still to come, comes soon.
          if (await Promise.race([stepper.killed.promise, sleep(1500)]) === undefined) {
            client.process.kill("SIGTERM");
          }
          await begun;
          wasKilled = await assertHarmless(network, clean, stepper, killAt);
          if (wasKilled) killedAfter.push((await stepper.outcome).killedAfter!);
        });
        if (!wasKilled) break;
      }
      assert.notEqual(killedAfter.length, 0, change.name);
      if (IS_WHOLE && change.steps !== undefined) {
        assert.ok(killedAfter.some((call) => change.steps!.test(call)), killedAfter.join("\n"));
      }
      await report(check, change.name, killedAfter);
    }
  }),
);

interface Change {
  readonly name: string;
  /** What it is known by that it took place. */
  readonly steps?: RegExp;
  begin(client: Role): Promise<unknown>;
}

/** What steps there are at all. */
const KINDS = [
  /session\.json/,
  /journal\.json/,
  /resolv\.conf/,
  /TUNSETIFF/,
  /RTM_NEWADDR/,
  /RTM_NEWRULE/,
  /RTM_NEWROUTE/,
  /RTM_DELRULE/,
  /rename.*journal\.json/,
  /write.*\/etc\/resolv\.conf>/,
];

/** Returns the state of the machine after a session that ended well: its folders are there from then on. */
async function baseline(network: Network): Promise<string> {
  assertOk(await network.fz([...RUN, "--exit"], network.clientEnv()));
  return await machineState(network.client);
}

/** Waits for the kill, looks at DNS, undoes by one of two ways, and compares. Returns false if there was no kill. */
async function assertHarmless(
  network: Network,
  clean: string,
  stepper: Stepper,
  killAt: number,
): Promise<boolean> {
  const killedAt = await stepper.killed.promise;
  const { killedAfter, stderr } = await stepper.outcome;
  if (killedAt === undefined) {
    assert.equal(await machineState(network.client), clean, stderr);
    return false;
  }
  // Nobody helps but the guardian.
  const resolvConf = `/proc/${network.client.pid}/root/etc/resolv.conf`;
  await eventually(() => assert.doesNotMatch(Deno.readTextFileSync(resolvConf), /Written by fz/));
  slowest = Math.max(slowest, performance.now() - killedAt);
  assert.match(await network.client.must(["getent", "hosts", "www.public.test"]), /www\.public\.test/);
  if (killAt % 2 === 0) assertOk(await network.fz(["cleanup"], {}));
  else assertOk(await network.fz([...RUN, "--exit"], network.clientEnv()));
  assert.equal(await machineState(network.client), clean, `after ${killedAfter}\n${stderr}`);
  return true;
}

/** The longest that DNS was not as before; for people, since a test asserts no time. */
let slowest = 0;

async function report(check: Check, what: string, killedAfter: readonly string[]): Promise<void> {
  if (!IS_WHOLE) return;
  const found = `${killedAfter.length} kills, DNS back within ${Math.round(slowest)} ms`;
  await check(`${what}: ${found}`, () => Promise.resolve());
}

async function sessionPid(network: Network): Promise<number> {
  return JSON.parse(await network.client.readFile("/run/fz/session.json")).pid;
}

function assertOk({ code, stderr }: { readonly code: number; readonly stderr: string }): void {
  assert.equal(code, 0, stderr);
}
