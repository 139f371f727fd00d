/** Which way of DNS is found out on hosts where the real services run, or only seem to. */

import assert from "node:assert/strict";
import type { Host } from "../../io/lab/host.ts";
import { inLab } from "../../io/lab/lab.ts";
import { installResolved, startBus, startNetworkManager, startResolved } from "./support/bus.ts";
import { eventually } from "./support/on_network.ts";
import { usePackages } from "./support/packages.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const PROFILE = `[connection]
id=lab
type=ethernet
interface-name=eth7
[ipv4]
method=manual
address1=192.0.2.2/24
dns=192.0.2.53;
dns-search=corp.test;
[ipv6]
method=disabled
`;

Deno.test("fz dns status: tells systemd-resolved from the looks of it", () =>
  inLab(async (lab) => {
    const host = await lab.host("client");
    await installResolved(host);
    const dangling = await outlook(host);
    assert.equal(dangling.control, "etc-resolv-conf");
    assert.ok(dangling.evidence.includes("There is no system bus"), dangling.evidence.join());
    assert.match(dangling.evidence[0]!, /stub-resolv\.conf, which is not there/);

    await startBus(host);
    const resolved = await startResolved(host);
    const running = await outlook(host);
    assert.equal(running.control, "systemd-resolved");
    assert.ok(running.evidence.includes("systemd-resolved answers on the system bus"));

    await host.must(["ln", "-sf", "../run/systemd/resolve/resolv.conf", "/etc/resolv.conf"]);
    assert.equal((await outlook(host)).control, "etc-resolv-conf");
    await host.must(["rm", "/etc/resolv.conf"]);
    await host.writeFile("/etc/resolv.conf", "nameserver 192.0.2.1\n");
    const beside = await outlook(host);
    assert.equal(beside.control, "etc-resolv-conf");
    assert.ok(beside.evidence.includes("/etc/resolv.conf does not lead to systemd-resolved"));
    await host.writeFile("/etc/nsswitch.conf", "hosts: files resolve [!UNAVAIL=return] dns\n");
    const first = await outlook(host);
    assert.equal(first.control, "systemd-resolved");
    assert.match(first.reason, /nsswitch/);

    const forced = await outlook(host, { FZ_DNS_CONTROL: "off" });
    assert.equal(forced.control, "disabled");
    assert.match(forced.reason, /asked for by dns-control; "systemd-resolved" would be chosen/);

    await resolved.stop();
    await host.must(["ln", "-sf", "../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf"]);
    const gone = await outlook(host);
    assert.equal(gone.control, "etc-resolv-conf");
    assert.ok(gone.evidence.includes("systemd-resolved does not answer"), gone.evidence.join());
  }));

Deno.test("fz dns status: takes NetworkManager where that writes the file, and only there", () =>
  inLab(async (lab) => {
    const host = await lab.host("client");
    await host.must(["ip", "link", "add", "eth7", "type", "veth", "peer", "name", "far"]);
    await host.must(["ip", "link", "set", "far", "up"]);
    await usePackages(host, ["network-manager"]);
    await startBus(host);
    const manager = await startNetworkManager(host, PROFILE, "nobody");
    const written = await eventually(async () => {
      const found = await outlook(host);
      assert.equal(found.control, "network-manager", JSON.stringify(found));
      // It writes the file before its connection is up, too.
      assert.deepEqual(found.systemResolvers, ["192.0.2.53"]);
      return found;
    });
    assert.ok(written.evidence.includes("NetworkManager runs, with dns=default and rc-manager=file"));
    const file = await host.readFile("/etc/resolv.conf");
    await host.writeFile("/etc/resolv.conf", "nameserver 192.0.2.1\n");
    assert.equal((await outlook(host)).control, "etc-resolv-conf");
    await host.writeFile("/etc/resolv.conf", file);
    await manager.stop();
    const gone = await outlook(host);
    assert.equal(gone.control, "etc-resolv-conf");
    assert.ok(gone.evidence.includes("NetworkManager does not run"));
  }));

interface Outlook {
  readonly control: string;
  readonly reason: string;
  readonly evidence: string[];
  readonly systemResolvers: string[];
}

async function outlook(host: Host, extra: Record<string, string> = {}): Promise<Outlook> {
  const env: Record<string, string> = { DENO_NO_UPDATE_CHECK: "1", ...extra };
  for (const name of ["HOME", "DENO_DIR", "XDG_CACHE_HOME"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  const fz = [Deno.execPath(), "run", "-A", "--quiet", MAIN];
  return JSON.parse(await host.must([...fz, "dns", "status", "--json"], { env }));
}
