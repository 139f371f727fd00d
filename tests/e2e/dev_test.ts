import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { inLab, type Lab } from "../../io/lab/lab.ts";
import type { LabProcess } from "../../io/lab/process.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const WEB = new URL("../../io/demo/web.ts", import.meta.url).pathname;
const ADDRESS = "10.9.0.1";

Deno.test("fz dev: prints all that a client on another host needs to reach a resource", () =>
  inLab(async (lab) => {
    const { dev, client } = await twoHosts(lab);
    const server = spawnFz(dev, ["dev", "--address", ADDRESS, "--resource", "app.dev.internal", "--json"]);
    await server.waitFor(/^\{.*\}$/m, 20_000);
    const facts = JSON.parse(server.stdout);
    assert.equal(facts.schema, 1);
    assert.deepEqual(facts.resources, ["app.dev.internal"]);
    const env = { FIREZONE_TOKEN: facts.clientToken, FIREZONE_API_URL: facts.portalUrl };
    const running = spawnFz(client, ["run", "--dns-control", "etc-resolv-conf"], env);
    await running.waitFor(/ ready/, 20_000);
    const page = await client.must(["curl", "-sS", "--fail", "--max-time", "10", "http://app.dev.internal/"]);
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
    const before = performance.now();
    assert.equal((await running.stop(5000)).code, 0, running.describe());
    assert.equal((await server.stop(5000)).code, 0, server.describe());
    assert.ok(performance.now() - before < 5000);
    assert.equal(
      await dev.must(["sh", "-c", "ls -d /tmp/fz-dev-* 2>/dev/null; ip -brief link | grep firezone"]).catch(
        () => "",
      ),
      "",
    );
  }));

Deno.test("fz dev: says in one sentence what it cannot do, and leaves nothing", () =>
  inLab(async (lab) => {
    const { dev } = await twoHosts(lab);
    const table: [args: string[], code: number, message: RegExp][] = [
      [["--resource", "not a name"], 2, /Cannot make a resource of "not a name"/],
      [["--address", "0.0.0.0"], 2, /"0\.0\.0\.0" is not an address of this machine/],
      [["--address", "10.9.0.77"], 2, /10\.9\.0\.77/],
    ];
    for (const [args, code, message] of table) {
      const outcome = await spawnFz(dev, ["dev", ...args]).outcome;
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, message);
      assert.equal(outcome.stdout, "");
    }
    assert.equal((await dev.run(["sh", "-c", "ls -d /tmp/fz-dev-*"])).stdout, "");
  }));

async function twoHosts(lab: Lab): Promise<{ dev: Host; client: Host }> {
  const [dev, client, web] = await Promise.all([lab.host("dev"), lab.host("client"), lab.host("web")]);
  await lab.link([dev, { v4: `${ADDRESS}/24` }], [client, { v4: "10.9.0.2/24" }]);
  await lab.link([dev, { v4: "172.20.0.1/24" }], [web, { v4: "172.20.0.10/24" }]);
  await dev.must(["sh", "-c", "echo 172.20.0.10 app.dev.internal >>/etc/hosts"]);
  await client.setResolvers([ADDRESS]);
  await web.spawn([Deno.execPath(), "run", "--allow-net", "--quiet", WEB, "80"]).waitFor(/ready/);
  return { dev, client };
}

function spawnFz(host: Host, args: readonly string[], env: Record<string, string> = {}): LabProcess {
  return host.spawn([Deno.execPath(), "run", "-A", "--quiet", MAIN, ...args], { env });
}
