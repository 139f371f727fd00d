/**
 * What a container is to the program, made by hand: the first process, a /dev without the TUN device, /etc/resolv.conf a
 * mount, a root that cannot be written, no machine id, few capabilities. Real engines were tried by docs/containers.md.
 */

import assert from "node:assert/strict";
import type { LabProcess } from "../../io/lab/process.ts";
import type { Network } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";

/** $1 is the folder of volumes, $2 what of the host's /dev/net the container gets. */
const CONTAINER = `
volumes=$1 device=$2
shift 2
mount -t proc proc /proc && mkdir -p "$volumes/dev" "$volumes/fz" "$volumes/id" || exit 99
mkdir -p /var/lib/fz /var/lib/dev.firezone.client
for name in null zero urandom random tty; do : >"$volumes/dev/$name" && mount --bind /dev/$name "$volumes/dev/$name" || exit 99; done
if [ "$device" = tun ]; then mkdir -p "$volumes/dev/net" && : >"$volumes/dev/net/tun" && mount --bind /dev/net/tun "$volumes/dev/net/tun" || exit 99; fi
mount --rbind "$volumes/dev" /dev || exit 99
mount --bind "$volumes/resolv.conf" /etc/resolv.conf || exit 99
mount --bind "$volumes/fz" /var/lib/fz && mount --bind "$volumes/id" /var/lib/dev.firezone.client || exit 99
mount -o remount,bind,ro /etc && mount -o remount,bind,ro /var/lib || exit 99
exec setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+setpcap "$@"
`;

Deno.test(
  "fz run: is the first process of a container, and its health check",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const original = await client.readFile("/etc/resolv.conf");
    await client.must(["mkdir", "-p", "/run/volumes"]);
    await client.writeFile("/run/volumes/resolv.conf", original);

    await check("without the device: exit code 7, and the words that a container needs", async () => {
      const { code, stderr } = await container(network, "none").outcome;
      assert.equal(code, 7, stderr);
      assert.match(stderr, /\/dev\/net\/tun is missing\n {4}Grant it: docker run .*--device \/dev\/net\/tun/);
    });
    await check("with it: connects as process 1, and writes the mounted resolv.conf", async () => {
      const process = container(network, "tun");
      const pid = await eventually(async () => {
        const found = (await client.must(["pgrep", "-P", String(process.pid)])).trim();
        assert.match(found, /^\d+$/);
        return found;
      });
      const inside = (...args: string[]) =>
        client.run(["nsenter", "-t", pid, "-m", "-p", "--", ...network.command(args)], {
          env: network.programEnv(),
        });
      await eventually(async () => {
        const { code, stdout, stderr } = await inside("status", "--check", "ready");
        assert.equal(code, 0, `${stdout}${stderr}${process.describe()}`);
      });
      assert.equal((await inside("status", "--check", "live")).code, 0);
      assert.match((await inside("status")).stdout, /pid 1,/);
      assert.match(await client.readFile("/run/volumes/resolv.conf"), /nameserver 100\./);
      assert.match(await network.curl("http://172.20.0.10/"), /hello/);
      await client.must(["kill", "-TERM", pid]);
      assert.equal((await process.outcome).code, 0, process.describe());
      assert.equal(await client.readFile("/run/volumes/resolv.conf"), original);
      assert.equal(await client.must(["ip", "-o", "link", "show", "type", "tun"]), "");
    });
    await check("the next container of the same volumes is the same device", async () => {
      const id = async () => await client.must(["sh", "-c", "cat /run/volumes/id/*/*id*"]);
      const before = await id();
      const process = container(network, "tun");
      await process.waitFor(/ready device=/);
      assert.equal(await id(), before);
      await client.must(["pkill", "-TERM", "-P", String(process.pid)]);
      assert.equal((await process.outcome).code, 0, process.describe());
    });
  }),
);

function container(network: Network, device: "tun" | "none"): LabProcess {
  const enter = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "sh", "-c", CONTAINER, "container"];
  return network.client.spawn([...enter, "/run/volumes", device, ...network.command(["run"])], {
    env: network.programEnv({ container: "fz", RUST_LOG: "info" }),
  });
}
