import assert from "node:assert/strict";
import { inLab } from "../../io/lab/lab.ts";
import { DEV_NAME, devHosts, devTraces, spawnOn, startDev } from "./support/dev_hosts.ts";

Deno.test("fz dev: prints all that a client on another host needs to reach a resource", () =>
  inLab(async (lab) => {
    const hosts = await devHosts(lab);
    const { dev, client } = hosts;
    const { server, facts } = await startDev(hosts, [DEV_NAME]);
    assert.equal(facts.schema, 1);
    assert.deepEqual(facts.resources, [DEV_NAME]);
    const env = { FIREZONE_TOKEN: facts.clientToken, FIREZONE_API_URL: facts.portalUrl };
    const running = spawnOn(client, ["run", "--dns-control", "etc-resolv-conf"], env);
    await running.waitFor(/ ready/);
    const page = await client.must(["curl", "-sS", "--fail", "--max-time", "60", `http://${DEV_NAME}/`]);
    assert.match(page, /You reached the intranet/);
    const clients = await dev.must([
      "curl",
      "-sS",
      "--unix-socket",
      facts.adminSocket,
      "http://fz/v1/clients",
    ]);
    assert.match(clients, /client/);
    const whoAmI = async (token: string) => {
      const url = `${facts.authBaseUrl}/v1/whoami`;
      return JSON.parse(await client.must(["curl", "-sS", "-H", `X-Authorization: Bearer ${token}`, url]));
    };
    assert.equal((await whoAmI(facts.clientToken)).actor.email, facts.email);
    assert.equal((await whoAmI(facts.serviceToken)).actor.type, "service_account");
    const signInUrl = `${facts.authBaseUrl}/${facts.accountSlug}?as=headless-client`;
    assert.match(await client.must(["curl", "-sS", signInUrl]), /Sign in to Development/);
    assert.match(facts.password, /^(\w{4}-){3}\w{4}$/);
    assert.match(await devTraces(dev), /^\/run\/fz-dev-\w+\n.*firezone/);
    assert.equal((await running.stop()).code, 0, running.describe());
    assert.equal((await server.stop()).code, 0, server.describe());
    assert.equal(await devTraces(dev), "");
  }));

Deno.test("fz dev: says in one sentence what it cannot do, and leaves nothing", () =>
  inLab(async (lab) => {
    const { dev } = await devHosts(lab);
    const table: [args: string[], code: number, message: RegExp][] = [
      [["--resource", "not a name"], 2, /Cannot make a resource of "not a name"/],
      [["--address", "0.0.0.0"], 2, /"0\.0\.0\.0" is not an address of this machine/],
      [["--address", "10.9.0.77"], 2, /10\.9\.0\.77/],
    ];
    for (const [args, code, message] of table) {
      const outcome = await spawnOn(dev, ["dev", ...args]).outcome;
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.equal(outcome.stdout, "");
    }
    assert.equal(await devTraces(dev), "");
  }));
