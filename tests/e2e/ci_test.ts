/** The script of docs/ci.md, as it stands there, against `fz dev`. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { inLab } from "../../io/lab/lab.ts";
import type { LabProcess, Outcome } from "../../io/lab/process.ts";
import type { DevFacts } from "../../lib/control/config.ts";
import { DEV_NAME, devHosts, installOn, startDev } from "./support/dev_hosts.ts";
import { eventually } from "./support/on_network.ts";
import { tracesOn } from "./support/traces.ts";

const SCRIPT = new URL("../../docs/ci.sh", import.meta.url).pathname;

Deno.test("docs/ci.sh: reaches a resource, tells why not by its exit code, and leaves nothing", (t) =>
  inLab(async (lab) => {
    const hosts = await devHosts(lab);
    const { client, dev, web } = hosts;
    const { facts } = await startDev(hosts, [DEV_NAME, "172.20.0.0/24"]);
    const job = new Job(client, await installOn(client), facts);
    const portal = (method: string, path: string, body?: unknown) =>
      ask(dev, facts.adminSocket, method, path, body);
    const before = await job.traces();
    const check = (name: string, body: () => Promise<void>) =>
      t.step(name, async () => {
        await body();
        assert.equal(await job.traces(), before);
        await eventually(async () => assert.deepEqual(await portal("GET", "/v1/clients"), []));
      });

    await check("reached: the page, and the gateway that jq picked", async () => {
      const { code, stdout, stderr } = await job.run();
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Signed in as ci, a service account in Development \(dev\)/);
      assert.match(stdout, /^Connected: 2 resources, fz0 100\./m);
      assert.match(stdout, /You reached the intranet/);
      assert.match(stdout, /^by gateway [\w-]+ of Here, (direct|relayed)$/m);
      assert.match(stderr, /^Disconnected$/m);
      assert.doesNotMatch(stdout + stderr, new RegExp(facts.serviceToken));
    });
    await check("a wrong token: 3", async () => {
      await assertFails(job, 3, /does not accept the token/, { token: "wrong" });
    });
    await check("a resource that no policy allows: 10", async () => {
      await portal("POST", "/v1/resources", {
        name: "secret",
        type: "ip",
        address: "172.21.0.1",
        site: "Here",
      });
      await assertFails(job, 10, /Cannot reach "secret"/, { resource: "secret" });
    });
    await check("a site whose gateway is not there: 11", async () => {
      await portal("POST", "/v1/sites", { name: "Elsewhere" });
      await portal("POST", "/v1/resources", {
        ...{ name: "far", type: "ip", address: "172.22.0.1", site: "Elsewhere" },
      });
      await portal("POST", "/v1/policies", { group: "Machines", resource: "far" });
      await assertFails(job, 11, /no gateway of site "Elsewhere" is online/, { resource: "far" });
    });
    await check("a host that does not answer: 9", async () => {
      await web.nft(`table inet t { chain i { type filter hook input priority 0; policy drop; }; }`);
      await assertFails(job, 9, /No answer from "172\.20\.0\.10:80"/, { resource: "172.20.0.10:80" });
      await web.nft("delete table inet t");
    });
    await check("a page that is not there: 20, so that curl's own codes are not taken for ours", async () => {
      await assertFails(job, 20, /port 81/, { url: `http://${DEV_NAME}:81/` });
    });
    await check("cancelled while it waits: 143", async () => {
      const process = job.start({ resource: "far", env: { FZ_CI_TIMEOUT: "60s" } });
      await process.waitFor(/no gateway of site/);
      // A runner ends the job's group.
      Deno.kill(-process.pid, "SIGTERM");
      assert.equal((await process.outcome).code, 143, process.describe());
    });
    await t.step("all runs were the same device", async () => {
      const devices = await portal("GET", "/v1/devices") as { name: string }[];
      assert.equal(devices.filter(({ name }) => name === "ci").length, 1, JSON.stringify(devices));
    });
  }));

Deno.test("docs/ci.md: shows the script as it is", async () => {
  const page = await Deno.readTextFile(SCRIPT.replace(/sh$/, "md"));
  assert.ok(page.includes(`\`\`\`sh\n${await Deno.readTextFile(SCRIPT)}\`\`\``));
});

type JobOptions = Parameters<Job["start"]>[0];

async function assertFails(job: Job, code: number, says: RegExp, options: JobOptions): Promise<void> {
  const outcome = await job.run({ env: { FZ_CI_TIMEOUT: "6s" }, ...options });
  assert.equal(outcome.code, code, outcome.stderr);
  assert.match(outcome.stderr, says);
  assert.doesNotMatch(outcome.stdout, /You reached/);
}

/** A CI job on a host. */
class Job {
  readonly #host: Host;
  readonly #path: string;
  readonly #facts: DevFacts;

  constructor(host: Host, path: string, facts: DevFacts) {
    this.#host = host;
    this.#path = path;
    this.#facts = facts;
  }

  start(
    options: { token?: string; resource?: string; url?: string; env?: Record<string, string> },
  ): LabProcess {
    const { token = this.#facts.serviceToken, resource = DEV_NAME, url = `http://${DEV_NAME}/`, env } =
      options;
    return this.#host.spawn(["sh", SCRIPT, resource, url], {
      input: `${token}\n`,
      env: {
        PATH: this.#path,
        HOME: Deno.env.get("HOME") ?? "/root",
        TMPDIR: "/run",
        FIREZONE_API_URL: this.#facts.portalUrl,
        FIREZONE_ID: "ci-of-acme",
        FIREZONE_NAME: "ci",
        FIREZONE_DNS_CONTROL: "etc-resolv-conf",
        ...env,
      },
    });
  }

  async run(options: JobOptions = {}): Promise<Outcome> {
    return await this.start(options).outcome;
  }

  /** Returns what the kernel, /etc and the folders of fz show, and the processes on the host. */
  async traces(): Promise<string> {
    const rest = "ls -a /run /var/lib; ps -eo args | grep '[r]un --service' || true";
    return await tracesOn(this.#host) + await this.#host.must(["sh", "-c", rest]);
  }
}

async function ask(
  host: Host,
  socket: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const data = body === undefined ? [] : ["-H", "content-type: application/json", "-d", JSON.stringify(body)];
  const curl = ["curl", "-sS", "--fail-with-body", "--unix-socket", socket, "-X", method, ...data];
  const answer = await host.must([...curl, `http://admin${path}`]);
  return answer === "" ? undefined : JSON.parse(answer);
}
