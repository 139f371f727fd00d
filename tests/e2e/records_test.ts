import assert from "node:assert/strict";
import { eventually, onNetwork } from "./support/on_network.ts";
import { RESOURCES, TOKENS } from "./support/seed.ts";

Deno.test(
  "fz log, fz capture and fz bundle: tell about a session that runs",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await network.startClient();
    const fz = (...args: string[]) => network.fz(args, network.clientEnv());

    await check("the log since the start, by level, and as it comes", async () => {
      const { code, stdout } = await fz("log");
      assert.equal(code, 0);
      assert.match(stdout, /INFO {2}\S+: connected to the portal/);
      assert.equal((await fz("log", "--level", "error")).stdout, "");
      const follower = network.client.spawn(network.command(["log", "-f", "-n", "0"]), {
        env: network.programEnv(),
      });
      assert.match((await fz("log", "level", "debug")).stdout, /^debug$/m);
      // It may not be listening yet.
      await eventually(async () => {
        await network.curl("http://web.site.test/", "-4");
        assert.match(follower.stdout, /DEBUG/);
      });
      follower.kill("SIGINT");
      assert.equal((await follower.outcome).code, 0);
      assert.match((await fz("log", "level", "reset")).stdout, /^info$/m);
      const wrong = await fz("log", "level", "dns=loud");
      assert.equal(wrong.code, 2);
      assert.match(wrong.stderr, /"dns=loud"/);
    });

    await check("packets of a resource, both ways, until Ctrl+C", async () => {
      const path = "/run/test.pcapng";
      const capture = network.client.spawn(
        network.command(["capture", "-o", path, "tcp port 80", "and", "resource web"]),
        { env: network.programEnv() },
      );
      await capture.waitFor(/Capturing/);
      await network.curl("http://web.site.test/", "-4");
      // Packets are written as they come, a moment after they have passed.
      await eventually(async () => {
        const { stdout: text } = await network.client.run(["tcpdump", "-n", "-r", path]);
        assert.match(text, /> 100\.(?:9[6-9]|1[01]\d|12[0-7])\.\d+\.\d+\.80: Flags \[S\]/);
        assert.match(text, /\.80 > 100\.(?:6[4-9]|[78]\d|9[0-5])\.\d+\.\d+\.\d+: Flags \[S\.\]/);
      });
      capture.kill("SIGINT");
      assert.equal((await capture.outcome).code, 0);
      await network.client.must(["tcpdump", "-n", "-r", path]);
      assert.match(await network.client.must(["stat", "-c", "%a", path]), /^600/);
      assert.match((await capture.waitFor(/(\d+) packets, /))[1]!, /^\d{1,2}$/);
      const none = await fz("capture", "-o", "/run/lan.pcapng", "--duration", "1ms", "resource", "lan");
      assert.match(none.stderr, /^0 packets, /m);
      const unknown = await fz("capture", "-o", "/run/none.pcapng", "resource", "nothing");
      assert.match(unknown.stderr, /at character 10, "nothing" is no resource of this session/);
      const wrong = await fz("capture", "-o", "/run/none.pcapng", "tcp prot 80");
      assert.equal(wrong.code, 2);
      assert.match(wrong.stderr, /at character 5, "prot"/);
    });

    await check("so many packets and no more, in a pipe", async () => {
      const script = `${
        network.command(["capture", "--count", "3", "-o", "-"]).join(" ")
      } | tcpdump -n -r - | wc -l`;
      const counting = network.client.spawn(["sh", "-c", script], { env: network.programEnv() });
      // It may not be capturing yet.
      await eventually(async () => {
        await network.curl("http://web.site.test/", "-4");
        assert.match(counting.stdout, /^3$/m);
      });
    });

    await check("an archive without names, addresses and the token", async () => {
      const { code, stderr } = await fz("bundle", "-o", "/run/b.tar.gz", "--duration", "500ms");
      assert.equal(code, 0, stderr);
      const all = await network.client.must(["tar", "xzOf", "/run/b.tar.gz"]);
      assert.match(all, /"state": "connected"/);
      assert.match(all, /"udp": "works"/);
      for (const word of [TOKENS.client, "web.site.test", "198.18.", "172.20.0.", "site-web"]) {
        const at = all.indexOf(word);
        assert.equal(at, -1, `${word}: …${all.slice(Math.max(0, at - 100), at + 100)}…`);
      }
      for (const { address = "none" } of RESOURCES) {
        assert.ok(!all.includes(address.replace(/^\*+\./, "")), address);
      }
    });
  }),
);

Deno.test(
  "fz log and fz bundle: tell what the last session in the background left",
  onNetwork({ underlay: "ipv4" }, async (network) => {
    const fz = (...args: string[]) => network.fz(args, { FIREZONE_API_URL: network.portalUrl });
    const before = await fz("log");
    assert.equal(before.code, 12, before.stderr);
    await network.client.must(["mkdir", "-p", "/etc/dev.firezone.client"]);
    await network.client.writeFile("/etc/dev.firezone.client/token", `${TOKENS.client}\n`, 0o600);
    const up = await fz("up");
    assert.equal(up.code, 0, up.stderr);
    assert.equal((await fz("down")).code, 0);
    const { code, stdout, stderr } = await fz("log", "-n", "50");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /INFO {2}\S+: ready device=fz0/);
    assert.match(stderr, /No session runs: this is what the last one left in "\/var\/lib\/fz\/log\/fz\.log"/);
    assert.equal((await fz("log", "-f")).code, 12);
    assert.equal((await fz("capture", "-o", "/run/x.pcapng")).code, 12);
    const bundle = await fz("bundle", "-o", "/run/left.tar.gz");
    assert.equal(bundle.code, 0, bundle.stderr);
    const all = await network.client.must(["tar", "xzOf", "/run/left.tar.gz"]);
    assert.match(all, /"message":"ready device=fz0"/);
    for (const word of [TOKENS.client, "198.18."]) assert.ok(!all.includes(word), word);
  }),
);
