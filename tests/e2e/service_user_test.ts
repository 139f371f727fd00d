/** The service with a system user of its own, under a real systemd. */

import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { SystemdHost } from "./support/systemd.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const FZ = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
const TOKEN = "/etc/dev.firezone.client/token";
const NET_ADMIN = "0000000000001000";

Deno.test(
  "fz service: runs as a user of its own where it need not write root's files, steered by root, read by members",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const host = network.client;
    const machine = await Deno.readTextFile("/etc/passwd");
    await host.writeFile(
      "/etc/fz/profiles/default.toml",
      `api-url = "${network.portalUrl}"\nname = "client"\ndns-control = "disabled"\n`,
    );
    const systemd = await SystemdHost.start(host);
    // Where no cgroups can be had, systemd cannot run, and there is nothing to test.
    if (typeof systemd === "string") return await check.skip(systemd);
    const fz = (...args: string[]) => systemd.run([...FZ, ...args]);
    const rootUnit = await systemd.must([
      ...FZ,
      "service",
      "install",
      "--print",
      "--dns-control",
      "etc-resolv-conf",
    ]);

    await check("install: makes the user and says so, a second time nothing", async () => {
      const { code, stdout, stderr } = await fz("service", "install");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Made the user fz, by \/etc\/sysusers\.d\/fz\.conf/);
      assert.match(await systemd.must(["cat", "/etc/systemd/system/fz.service"]), /^User=fz$/m);
      assert.match((await fz("service", "install")).stdout, /as it should be/);
      assert.equal(await Deno.readTextFile("/etc/passwd"), machine);
    });
    const uid = (await systemd.must(["id", "-u", "fz"])).trim();
    const gid = (await systemd.must(["id", "-g", "fz"])).trim();

    await check(
      "root signs in and it connects, as its user with one capability in every thread",
      async () => {
        await systemd.must([...FZ, "service", "start"]);
        await eventually(async () => assert.match(await systemd.property("StatusText"), /sign/i));
        await host.writeFile("/run/token", TOKENS.client, 0o600);
        await systemd.must([...FZ, "sign-in", "--token-file", "/run/token"]);
        await eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
        const pid = await systemd.property("MainPID");
        // A thread may end while it is looked at.
        const threads = (await systemd.must(["sh", "-c", `cat /proc/${pid}/task/*/status || true`]))
          .split(/^Name:/m).slice(1);
        assert.ok(threads.length > 1);
        for (const thread of threads) {
          assert.match(thread, new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s`, "m"));
          for (const set of ["CapPrm", "CapEff", "CapBnd"]) {
            assert.match(thread, new RegExp(`^${set}:\\s+${NET_ADMIN}$`, "m"));
          }
        }
        assert.match(await network.curl("http://172.20.0.10/"), /hello/);
      },
    );
    await check("root asks and steers it, members only ask it, strangers neither", async () => {
      assert.match((await fz("status")).stdout, /^Connected/);
      assert.match((await fz("up")).stdout + (await fz("up")).stderr, /already connected/i);
      const as = (group: string) => ["setpriv", "--reuid=4000", "--regid=4000", `--groups=${group}`];
      const env = { HOME: "/run/nowhere" };
      const member = await systemd.run([...as(gid), ...FZ, "status"], env);
      assert.match(member.stdout, /^Connected/, member.stderr);
      assert.equal((await systemd.run([...as(gid), ...FZ, "down"], env)).code, 6);
      assert.equal((await systemd.run([...as("4000"), ...FZ, "status"], env)).code, 6);
    });
    await check("its folders are its own, closed to others", async () => {
      const stat = await systemd.must([
        "stat",
        "-c",
        "%u %a %n",
        "/run/fz",
        "/run/fz/fz.sock",
        "/var/lib/fz",
      ]);
      assert.equal(stat, `${uid} 755 /run/fz\n${uid} 600 /run/fz/fz.sock\n${uid} 700 /var/lib/fz\n`);
    });
    await check("killed and started anew; down and up by root", async () => {
      const pid = await systemd.property("MainPID");
      assert.match(pid, /^[1-9]\d*$/);
      await systemd.must(["kill", "-9", pid]);
      await eventually(async () => {
        assert.doesNotMatch(await systemd.property("MainPID"), new RegExp(`^(0|${pid})$`));
        assert.equal(await systemd.property("ActiveState"), "active");
      });
      await systemd.must([...FZ, "down"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "inactive"));
      await systemd.must([...FZ, "up"]);
      await eventually(async () => assert.equal(await systemd.property("ActiveState"), "active"));
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
    });
    await check("systemd thinks it less exposed than root's", async () => {
      await host.writeFile("/run/security/root.service", rootUnit);
      await host.writeFile(
        "/run/security/own.service",
        await systemd.must(["cat", "/etc/systemd/system/fz.service"]),
      );
      const exposure = async (name: string) => {
        const words = ["systemd-analyze", "security", "--offline=true", `/run/security/${name}.service`];
        const text = await systemd.must([...words, "--no-pager"]);
        const found = /Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1];
        assert.ok(found !== undefined, text);
        return Number(found);
      };
      const [root, own] = [await exposure("root"), await exposure("own")];
      assert.ok(own <= root, `${own} of its own user, ${root} of root`);
    });
    await check("uninstall: user, files and process gone; what it kept is root's", async () => {
      const { code, stdout, stderr } = await fz("service", "uninstall");
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Removed the user fz/);
      assert.equal((await systemd.run(["id", "fz"])).code, 1);
      for (const path of ["/etc/sysusers.d/fz.conf", "/etc/polkit-1/rules.d/49-fz.rules", "/run/fz"]) {
        assert.equal((await systemd.run(["test", "-e", path])).code, 1, path);
      }
      assert.equal(await systemd.must(["stat", "-c", "%u %n", "/var/lib/fz"]), "0 /var/lib/fz\n");
      assert.equal((await host.readFile(TOKEN)).trim(), TOKENS.client);
      assert.equal(await Deno.readTextFile("/etc/passwd"), machine);
    });
  }),
);
