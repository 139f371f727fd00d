import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import { platform } from "../../ffi/mod.ts";
import type { Platform, Tun, TunOptions } from "../../ffi/platform.ts";
import type { Host } from "../../io/lab/host.ts";
import { inLab, type Lab } from "../../io/lab/lab.ts";

/** Carries packets between two devices as they are, until closed. */
class Pipe {
  readonly #host: Platform;
  readonly #tuns: readonly [Tun, Tun];
  readonly #poller;
  #done: Promise<void> = Promise.resolve();
  #isRunning = true;
  largest = 0;

  constructor(host: Platform, tuns: readonly [Tun, Tun]) {
    this.#host = host;
    this.#tuns = tuns;
    this.#poller = this.#host.createPoller();
    for (const tun of tuns) this.#poller.add(tun);
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#isRunning = false;
    this.#poller.wake();
    await this.#done;
    await this.#poller.close();
    for (const tun of this.#tuns) tun.close();
  }

  async #run(): Promise<void> {
    const [left, right] = this.#tuns;
    while (this.#isRunning) {
      await this.#poller.wait(1000);
      for (let round = 0; round < 8; round++) {
        this.#carry(left, right);
        this.#carry(right, left);
      }
    }
  }

  #carry(from: Tun, to: Tun): void {
    let count = 0;
    const handler = (packet: Uint8Array) => {
      this.largest = Math.max(this.largest, packet.length);
      to.send(packet);
    };
    while (count < 64 && from.receive(handler)) count++;
    to.flush();
  }
}

async function connect(lab: Lab, offload: NonNullable<TunOptions["offload"]>) {
  const host = await platform();
  const [alice, bob] = await Promise.all([lab.host("alice"), lab.host("bob")]);
  const tuns = [
    host.openTun({ name: "fza", mtu: 1280, offload }),
    host.openTun({ name: "fzb", mtu: 1280, offload }),
  ] as const;
  await attach(alice, tuns[0].name, "1");
  await attach(bob, tuns[1].name, "2");
  return { alice, bob, tuns, pipe: new Pipe(host, tuns) };
}

/** Moves the device to `host`; the descriptor stays with us. */
async function attach(host: Host, device: string, number: string): Promise<void> {
  const { code, stderr } = await new Deno.Command("ip", { args: ["link", "set", device, "netns", host.name] })
    .output().then(({ code, stderr }) => ({ code, stderr: new TextDecoder().decode(stderr) }));
  assert.equal(code, 0, stderr);
  await host.must(["ip", "link", "set", device, "mtu", "1280", "up"]);
  await host.must(["ip", "addr", "add", `10.7.0.${number}/24`, "dev", device]);
  await host.must(["ip", "addr", "add", `fd77::${number}/64`, "dev", device, "nodad"]);
}

/** Returns the count of packets that the host's kernel found to have a wrong checksum. */
async function checksumErrors(host: Host): Promise<number> {
  const text = await host.must([
    "nstat",
    "-asz",
    "TcpInCsumErrors",
    "UdpInCsumErrors",
    "Udp6InCsumErrors",
    "Icmp6InCsumErrors",
  ]);
  return [...text.matchAll(/InCsumErrors\s+(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
}

async function measure(client: Host, server: Host, args: readonly string[]): Promise<number> {
  const listener = server.spawn(["iperf3", "-s", "-1", "--forceflush"]);
  await listener.waitFor(/listening/);
  const json = JSON.parse(await client.must(["iperf3", "-J", ...args]));
  await listener.outcome;
  const end = json.end;
  return (end.sum_received ?? end.sum).bits_per_second / 1e9;
}

const VARIANTS: Record<string, NonNullable<TunOptions["offload"]>> = {
  "all offloads": {},
  "no UDP offload": { udp: false },
  "no TCP offload": { tcp: false },
  "checksums only": { tcp: false, udp: false },
  "no virtio header": { virtioHeader: false },
};

for (const [name, offload] of Object.entries(VARIANTS)) {
  Deno.test(`Tun: carries real TCP, UDP and ping with right checksums, ${name}`, () =>
    inLab(async (lab) => {
      const { alice, bob, tuns, pipe } = await connect(lab, offload);
      try {
        assert.deepEqual(tuns[0].offload, {
          virtioHeader: offload.virtioHeader ?? true,
          tcp: (offload.virtioHeader ?? true) && (offload.tcp ?? true),
          udp: (offload.virtioHeader ?? true) && (offload.udp ?? true),
        });
        for (const address of ["10.7.0.2", "fd77::2"]) {
          await alice.must(["ping", "-c2", "-i0.05", "-W30", address]);
          await alice.must(["ping", "-c1", "-s1200", "-W30", address]);
          assert.ok(await measure(alice, bob, ["-c", address, "-n", "20M"]) > 0);
          assert.ok(await measure(alice, bob, ["-c", address, "-R", "-n", "20M"]) > 0);
          const udp = ["-u", "-b", "50M", "-l", "1200", "-n", "3M"];
          assert.ok(await measure(alice, bob, ["-c", address, ...udp]) > 0);
        }
        assert.ok(pipe.largest <= 1280 && pipe.largest >= 1228);
        assert.equal(await checksumErrors(alice), 0);
        assert.equal(await checksumErrors(bob), 0);
      } finally {
        await pipe.close();
      }
    }));
}

Deno.test("Tun: delivers a file unchanged in both directions", () =>
  inLab(async (lab) => {
    const { alice, bob, pipe } = await connect(lab, {});
    try {
      for (const [client, server, address] of [[alice, bob, "10.7.0.2"], [bob, alice, "fd77::1"]] as const) {
        const bracketed = address.includes(":") ? `TCP6:[${address}]:9000` : `TCP:${address}:9000`;
        const listen = address.includes(":") ? "TCP6-LISTEN:9000" : "TCP4-LISTEN:9000";
        const listener = server.spawn(["sh", "-c", `socat -u ${listen} STDOUT | sha256sum`]);
        const script =
          `head -c 20000000 /dev/urandom > file && sha256sum < file && socat -u FILE:file ${bracketed},retry=600,interval=0.1`;
        const sent = await client.must(["sh", "-c", `cd $(mktemp -d) && ${script}`]);
        assert.equal((await listener.outcome).stdout, sent);
      }
    } finally {
      await pipe.close();
    }
  }));

Deno.test("openTun: says so when the device is held by somebody else", () =>
  inLab(async () => {
    const host = await platform();
    const tun = host.openTun({ name: "fzbusy", mtu: 1280 });
    assert.throws(() => host.openTun({ name: "fzbusy", mtu: 1280 }), (error) => {
      assert.ok(error instanceof Fault);
      assert.equal(error.code, "tun");
      assert.match(error.message, /fzbusy.*in use/);
      return true;
    });
    tun.close();
    host.openTun({ name: "fzbusy", mtu: 1280 }).close();
    await Promise.resolve();
  }));

Deno.test("openTun: says which privilege is missing, and which device", () =>
  inLab(async (lab) => {
    const host = await lab.host("poor");
    const script = `import { platform } from "${import.meta.resolve("../../ffi/mod.ts")}";
      try { (await platform()).openTun({ name: "fzpoor", mtu: 1280 }); } catch (error) { console.log(error.code, error.message); }`;
    await host.writeFile("/run/open.ts", script);
    const run = ["deno", "run", "-A", "-q", "--config", `${Deno.cwd()}/deno.json`, "/run/open.ts"];
    const powerless = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    assert.match(await host.must([...powerless, ...run]), /^privilege .*not permitted/);
    const hidden = `mount -t tmpfs none /dev/net && exec setpriv --bounding-set -mknod --inh-caps -mknod ${
      run.join(" ")
    }`;
    assert.match(await host.must(["sh", "-c", hidden]), /^tun .*\/dev\/net\/tun is missing/);
    const made = `mount -t tmpfs none /dev/net && exec ${run.join(" ")} && ls /dev/net/tun`;
    assert.equal((await host.run(["sh", "-c", made])).stdout.includes("tun Cannot"), false);
  }));

Deno.test("Tun: notices that its device was deleted", () =>
  inLab(async (lab) => {
    const { alice, tuns, pipe } = await connect(lab, {});
    await alice.must(["ip", "link", "del", "fza"]);
    tuns[0].receive(() => {});
    assert.equal(tuns[0].isGone, true);
    await pipe.close();
  }));
