/** What a real session tells of itself: `fz status`, `fz watch`, `fz metrics`, curl on the socket, and `fz run --listen`. */

import assert from "node:assert/strict";
import * as v from "valibot";
import { SessionEvent, StatusDocument } from "../../lib/control/api.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

const WEB = "http://172.20.0.10/";
const LISTEN = "127.0.0.1:9099";

Deno.test(
  "fz status, watch, metrics and run --listen: tell what a real session does",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    await network.startClient({ args: ["--listen", LISTEN], env: { FZ_CONTROL_CHECK: "1" } });
    const fz = (...args: string[]) => network.fz(args, {});
    const get = (path: string) =>
      network.client.must(["curl", "-sS", "-w", " %{http_code}", `http://${LISTEN}${path}`]);

    await check("status answers first, in words and as the document of the schema", async () => {
      await network.curl(WEB);
      // A first path may be relayed.
      await eventually(async () => {
        const { code, stdout } = await fz("status");
        assert.equal(code, 0);
        assert.match(stdout, /^Connected as "client" to .*: 6 resources, 1 gateway \(direct, [\d.]+ ms\)\n/);
      });
      const status = v.parse(StatusDocument, JSON.parse((await fz("status", "--json")).stdout));
      assert.equal(status.state, "connected");
      const [gateway] = status.gateways;
      assert.equal(gateway?.path?.kind, "direct");
      assert.ok(gateway.rxBytes > 0 && gateway.txBytes > 0);
      assert.equal((await fz("status", "--check", "ready")).stdout, "ready\n");
    });

    await check("curl on the socket gets the same, and is told what it asked wrongly", async () => {
      const curl = (...args: string[]) =>
        network.client.must(["curl", "-sS", "--unix-socket", "/run/fz/fz.sock", ...args]);
      assert.ok(v.is(StatusDocument, JSON.parse(await curl("http://fz/v1/status"))));
      const { error } = JSON.parse(await curl("http://fz/v1/explain", "-d", "{}"));
      assert.match(error.message, /"target" is missing/);
      const big = ["-d", `{"target":"${"x".repeat(66_000)}"}`];
      assert.match(await curl("http://fz/v1/explain", ...big), /longer than 65536 bytes/);
    });

    await check("watch begins with the status and tells what happens", async () => {
      const watch = network.client.spawn(network.command(["watch"]), { env: network.programEnv() });
      await eventually(() => assert.match(watch.stdout, /"event":"status"/));
      await fz("internet", "off");
      await network.client.must([
        "kill",
        "-HUP",
        String(JSON.parse((await fz("status", "--json")).stdout).pid),
      ]);
      await eventually(() => assert.match(watch.stdout, /"event":"disconnected"/));
      for (const line of watch.stdout.trimEnd().split("\n")) {
        assert.ok(v.is(SessionEvent, JSON.parse(line)), line);
      }
      watch.kill("SIGINT");
      assert.equal((await watch.outcome).code, 0);
    });

    await check("health and metrics over HTTP, the same as by the command", async () => {
      await eventually(async () => assert.equal(await get("/readyz"), "ready\n 200"));
      assert.equal(await get("/healthz"), "ok\n 200");
      await network.curl(WEB);
      const [text, printed] = [await get("/metrics"), (await fz("metrics")).stdout];
      for (const metrics of [text, printed]) {
        assert.match(metrics, /^fz_session_state\{state="connected"\} 1$/m);
        assert.match(
          metrics,
          /^fz_gateway_receive_bytes_total\{gateway_id="[\w-]+",site_id="[\w-]+"\} [1-9]/m,
        );
      }
    });

    await check("the portal goes: the tunnel works on, ready says why not", async () => {
      const portal = network.role("portal").process;
      portal.kill("SIGKILL");
      await eventually(
        async () => assert.match(await get("/readyz"), /^not ready: degraded \(.*portal.*\)\n 503$/),
      );
      const { code, stdout } = await fz("status");
      assert.equal(code, 0);
      assert.match(stdout, /^Connected as "client", but .* is away: nothing new is granted/);
      assert.equal((await fz("status", "--check", "ready")).code, 5);
      assert.equal((await fz("status", "--check", "live")).code, 0);
    });

    await check("killed: told with exit code 12", async () => {
      network.role("client").process.kill("SIGKILL");
      const { code, stdout, stderr } = await eventually(async () => {
        const outcome = await fz("status");
        assert.equal(outcome.code, 12);
        return outcome;
      });
      assert.equal(code, 12);
      assert.equal(stdout, "");
      assert.match(stderr, /The session was killed .*fz cleanup/s);
    });
  }),
);
