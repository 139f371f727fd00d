import assert from "node:assert/strict";
import { platform } from "../../ffi/mod.ts";
import { isIsolated } from "../../io/lab/isolation.ts";
import { eventually } from "./support/on_network.ts";
import { PATIENCE_MS } from "./support/patience.ts";

/** These run in the isolated namespace itself, which is the host here; `eth0` is its link. */
const host = await platform();

function sh(script: string): void {
  const { code, stderr } = new Deno.Command("sh", { args: ["-ec", script] }).outputSync();
  assert.equal(code, 0, `${script}: ${new TextDecoder().decode(stderr)}`);
}

/** Counts the calls. */
class Watch {
  calls = 0;
  #tell = () => {};
  readonly #monitor = host.watchNetwork(() => {
    this.calls++;
    this.#tell();
  })!;

  /** Does `work` and waits for a call after it. */
  async sees(work: () => void): Promise<void> {
    await this.quiet();
    const next = new Promise<boolean>((resolve) => this.#tell = () => resolve(true));
    work();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => timer = setTimeout(resolve, PATIENCE_MS, false));
    assert.ok(await Promise.race([next, late]), `no change was told of after ${work}`);
    clearTimeout(timer);
  }

  /** Waits until nothing has changed for a while. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.calls;) {
      before = this.calls;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  close(): void {
    this.#monitor.close();
  }
}

async function watched(body: (watch: Watch) => Promise<void>): Promise<void> {
  assert.ok(isIsolated(), "run by deno task e2e");
  sh(`ip link add eth0 type veth peer name peer0
    for dev in eth0 peer0; do ip link set $dev addrgenmode none; ip link set $dev up; done
    ip addr add 192.0.2.2/24 dev eth0; ip -6 addr add 2001:db8:1::2/64 dev eth0 nodad`);
  const watch = new Watch();
  try {
    await body(watch);
  } finally {
    watch.close();
    sh("ip link del eth0; ip link del eth1 2>/dev/null || true");
  }
}

Deno.test("watchNetwork: tells of changes of links, addresses, routes and rules of both families", () =>
  watched(async (watch) => {
    for (
      const change of [
        "ip link set peer0 down",
        "ip link set peer0 up",
        "ip addr add 192.0.2.3/24 dev eth0",
        "ip addr del 192.0.2.3/24 dev eth0",
        "ip -6 addr add 2001:db8:1::3/64 dev eth0 nodad",
        "ip route add default via 192.0.2.1",
        "ip route replace default via 192.0.2.9",
        "ip route del default",
        "ip -6 route add default via 2001:db8:1::1",
        "ip route add 10.0.0.0/8 dev eth0 table 77",
        "ip rule add to 203.0.113.9 lookup main priority 90",
        "ip rule del to 203.0.113.9 lookup main priority 90",
        "ip -6 rule add to 2001:db8:9::9 lookup main priority 90",
        "ip -6 rule del to 2001:db8:9::9 lookup main priority 90",
        "ip link add dummy9 type veth peer name dummy8",
        "ip link del dummy9",
      ]
    ) await watch.sees(() => sh(change));
  }));

Deno.test("watchNetwork: makes one call of many changes, and none without a change", () =>
  watched(async (watch) => {
    await watch.quiet();
    const before = watch.calls;
    await watch.sees(() =>
      sh("for n in $(seq 200); do echo route add 10.0.$n.0/24 dev eth0; done | ip -batch -")
    );
    await watch.quiet();
    assert.ok(watch.calls - before <= 40, `${watch.calls - before} calls`);
  }));

Deno.test("watchNetwork: takes more changes than the kernel keeps for a change, and goes on", () =>
  watched(async (watch) => {
    // This thread is busy meanwhile, so that nobody reads.
    await watch.sees(() =>
      sh(
        "for a in $(seq 80); do for b in $(seq 250); do echo route add 10.$a.$b.0/24 dev eth0; done; done | ip -batch -",
      )
    );
    await watch.sees(() => sh("ip route add default via 192.0.2.1"));
  }));

Deno.test("networkPath: is that of the kernel's best default routes, as they come and go", () =>
  watched(async (watch) => {
    assert.equal(await host.networkPath("fz0"), "");
    const steps = [
      ["ip route add default via 192.0.2.1 metric 100", "eth0 in 192.0.2.2; eth0 via 192.0.2.1"],
      ["ip addr add 192.0.2.3/24 dev eth0", "eth0 in 192.0.2.2; eth0 in 192.0.2.3; eth0 via 192.0.2.1"],
      ["ip addr del 192.0.2.3/24 dev eth0", "eth0 in 192.0.2.2; eth0 via 192.0.2.1"],
      ["ip route add default via 192.0.2.9 metric 50", "eth0 in 192.0.2.2; eth0 via 192.0.2.9"],
      [
        "ip -6 route add default via 2001:db8:1::1; ip -6 addr add 2001:db8:1::77/64 dev eth0 nodad",
        "eth0 in 192.0.2.2; eth0 in 2001:db8:1::/64; eth0 via 192.0.2.9; eth0 via 2001:db8:1::1",
      ],
      [
        "ip route add default via 192.0.2.5 table 77; ip rule add not fwmark 1 lookup 77 priority 80",
        "eth0 in 192.0.2.2; eth0 in 2001:db8:1::/64; eth0 via 192.0.2.5 by a rule; eth0 via 192.0.2.9; eth0 via 2001:db8:1::1",
      ],
      [
        "ip link add wg0 type veth peer name wg1; ip link set wg0 up; ip link set wg1 up; ip addr add 10.66.0.2/32 dev wg0; ip route replace default dev wg0 table 77",
        "eth0 in 192.0.2.2; eth0 in 2001:db8:1::/64; eth0 via 192.0.2.9; eth0 via 2001:db8:1::1; wg0 in 10.66.0.2; wg0 via nothing by a rule",
      ],
      [
        "ip rule del priority 80; ip link del wg0",
        "eth0 in 192.0.2.2; eth0 in 2001:db8:1::/64; eth0 via 192.0.2.9; eth0 via 2001:db8:1::1",
      ],
      ["ip link set peer0 down", ""],
    ] as const;
    for (const [change, path] of steps) {
      await watch.sees(() => sh(change));
      // A link that loses its carrier tells so a moment later.
      await eventually(async () => assert.equal(await host.networkPath("fz0"), path));
      const others = path.split("; ").filter((part) => part.startsWith("wg0"));
      assert.equal(await host.networkPath("eth0"), others.join("; "));
    }
  }));

Deno.test("networkPath: is another link's once the kernel leaves the one that was unplugged", () =>
  watched(async (watch) => {
    const first = "eth0 in 192.0.2.2; eth0 via 192.0.2.1";
    const second = "eth1 in 198.51.100.2; eth1 via 198.51.100.1";
    const steps = [
      [
        "ip link add eth1 type veth peer name peer1; ip link set peer1 up; ip link set eth1 up; ip addr add 198.51.100.2/24 dev eth1; ip route add default via 198.51.100.1 metric 600",
        second,
      ],
      ["ip route add default via 192.0.2.1 metric 100", first],
      ["ip link set peer0 down", ""],
      ["ip route del default dev eth0", second],
      ["ip route add default via 192.0.2.1 dev eth0 metric 100", ""],
      ["ip link set peer0 up", first],
      [
        "sysctl -q net.ipv4.conf.eth0.ignore_routes_with_linkdown=1; ip link set peer0 down",
        second,
      ],
      ["ip link set peer1 down", ""],
    ] as const;
    for (const [change, path] of steps) {
      await watch.sees(() => sh(change));
      // A link that loses its carrier tells so a moment later.
      await eventually(async () => assert.equal(await host.networkPath("fz0"), path, change));
    }
  }));

Deno.test("NetworkMonitor.close: ends the calls", () =>
  watched(async (watch) => {
    await watch.quiet();
    const before = watch.calls;
    watch.close();
    sh("ip addr add 192.0.2.3/24 dev eth0");
    await watch.quiet();
    assert.equal(watch.calls, before);
  }));

Deno.test("NetworkMonitor: lets the process end after close, and Deno.exit without it", async () => {
  const run = async (end: string) => {
    const script = `import { platform } from ${JSON.stringify(import.meta.resolve("../../ffi/mod.ts"))};
      const monitor = (await platform()).watchNetwork(() => {});
      await new Promise((resolve) => setTimeout(resolve, 50));
      console.log(monitor !== undefined);
      ${end}`;
    const { code, stdout } = await new Deno.Command("timeout", {
      args: ["90", Deno.execPath(), "eval", "--quiet", script],
      stderr: "inherit",
    }).output();
    return `${code} ${new TextDecoder().decode(stdout)}`;
  };
  assert.equal(await run("monitor.close();"), "0 true\n");
  assert.equal(await run("Deno.exit(3);"), "3 true\n");
});
