/** What systemd would start as the service's own user, started without systemd: on machines where that cannot run, too. */

import assert from "node:assert/strict";
import { POLKIT_FILE, SYSUSERS_FILE, sysusersText } from "../../lib/control/service/user.ts";
import type { LabProcess } from "../../io/lab/process.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";

Deno.test(
  "fz run --service: as the system user of the unit, steered by root, read by members, strange to others",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    const machine = await Deno.readTextFile("/etc/passwd");
    const { FIREZONE_TOKEN: _, ...env } = network.programEnv();
    const fz = (args: string[], by: string[] = []) =>
      host.run([...by, ...network.command(args)], { env: { ...env, FIREZONE_DNS_CONTROL: "disabled" } });
    let uid = "";
    let session: LabProcess | undefined;

    await check("systemd-sysusers makes the user, with the readers' group", async () => {
      await host.writeFile(SYSUSERS_FILE, sysusersText());
      await host.must(["systemd-sysusers", SYSUSERS_FILE]);
      uid = (await host.must(["id", "-u", "fz"])).trim();
      assert.notEqual(uid, "0");
      assert.equal((await host.must(["id", "-gn", "fz"])).trim(), "fz");
      assert.equal(await Deno.readTextFile("/etc/passwd"), machine);
    });
    await check("the unit is that user's, and systemd thinks it no more exposed than root's", async () => {
      const unit = (await fz(["service", "install", "--print"])).stdout;
      assert.match(unit, /^User=fz$/m);
      const roots = (await fz(["service", "install", "--print", "--dns-control", "etc-resolv-conf"])).stdout;
      assert.match(roots, /^User=root$/m);
      const exposure = async (name: string, text: string) => {
        await host.writeFile(`/run/security/${name}.service`, text);
        const words = ["systemd-analyze", "security", "--offline=true", "--no-pager"];
        const said = await host.must([...words, `/run/security/${name}.service`]);
        return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
      };
      const [own, root] = [await exposure("own", unit), await exposure("root", roots)];
      assert.ok(own > 0 && own <= root, `${own} and ${root}`);
    });
    await check("it waits for a credential, and root signs it in", async () => {
      const folders = ["/run/fz", "/var/lib/fz", "/var/lib/dev.firezone.client"];
      await host.must(["install", "-d", "-o", uid, "-g", uid, "-m", "0755", ...folders]);
      const command = network.command(["run", "--service"]);
      const by = ["setpriv", "--reuid=fz", "--regid=fz", "--clear-groups"];
      const rights = [
        "--inh-caps=-all,+net_admin",
        "--ambient-caps=+net_admin",
        "--bounding-set=-all,+net_admin",
      ];
      session = host.spawn([...by, ...rights, "--no-new-privs", ...command], {
        env: {
          ...env,
          FIREZONE_DNS_CONTROL: "disabled",
          FZ_CONFIG_DIR: "/etc/fz",
          RUNTIME_DIRECTORY: folders[0]!,
          STATE_DIRECTORY: folders.slice(1).join(":"),
          HOME: "/var/lib/fz",
        },
      });
      await eventually(async () => assert.match((await fz(["status"])).stdout, /signed in|sign in/i));
      await host.writeFile("/run/token", TOKENS.client, 0o600);
      const { code, stderr } = await fz(["sign-in", "--token-file", "/run/token"]);
      assert.equal(code, 0, stderr);
      await eventually(async () => {
        const { stdout, stderr } = await fz(["status"]);
        assert.match(stdout, /^Connected/, `${stderr}${session?.describe()}`);
      });
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
    });
    await check("root steers it, members ask it, strangers neither", async () => {
      assert.match((await fz(["status"])).stdout, /^Connected/);
      assert.match((await fz(["up"])).stdout, /already connected/i);
      const gid = (await host.must(["id", "-g", "fz"])).trim();
      const as = (group: string) => ["setpriv", "--reuid=4000", "--regid=4000", `--groups=${group}`];
      const member = await fz(["status"], as(gid));
      assert.match(member.stdout, /^Connected/, member.stderr);
      assert.equal((await fz(["down"], as(gid))).code, 6);
      assert.equal((await fz(["status"], as("4000"))).code, 6);
      assert.equal(
        await host.must(["stat", "-c", "%u %g %a", "/run/fz/fz-read.sock"]),
        `${uid} ${gid} 660\n`,
      );
      const { code, stderr } = await fz(["down"]);
      assert.equal(code, 0, stderr);
    });
    await check("the user goes again, the machine's files were never touched", async () => {
      await eventually(() => host.must(["userdel", "fz"]));
      assert.equal((await host.run(["test", "-e", POLKIT_FILE])).code, 1);
      assert.equal(await Deno.readTextFile("/etc/passwd"), machine);
    });
  }),
);
