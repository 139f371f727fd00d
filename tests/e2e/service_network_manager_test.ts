/** The service's own user sets DNS by NetworkManager: by the rule that is installed for it, and no other right. */

import assert from "node:assert/strict";
import { POLKIT_FILE, polkitRule } from "../../lib/control/service/user.ts";
import { namesOnBus, startPolkit } from "./support/bus.ts";
import { manageByNetworkManager } from "./support/dns_managers.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { AS_SERVICE, AS_STRANGER, makeServiceUser, startService } from "./support/service_user.ts";

Deno.test(
  "polkitRule: the service's user sets DNS by NetworkManager, and may do nothing else there",
  onNetwork({ underlay: "ipv4" }, async (network, check) => {
    const { client } = network;
    const upstream = network.uplink("public").v4!;
    const polkit = await manageByNetworkManager(network, () => makeServiceUser(client));
    const before = await client.readFile("/etc/resolv.conf");
    const isOurs = () =>
      eventually(async () =>
        assert.match(await client.readFile("/etc/resolv.conf"), /^[^]*?nameserver 100\.100\.111\./)
      );

    await check("without the rule: exit code 6, the way out, and nothing changed", async () => {
      const { code, stderr } = await startService(network, "network-manager").outcome;
      assert.equal(code, 6, stderr);
      assert.match(stderr, /polkit does not permit "org\.freedesktop\.NetworkManager\.[a-z-]+"/);
      assert.match(stderr, /\/etc\/polkit-1\/rules\.d/);
      assert.equal(await client.readFile("/etc/resolv.conf"), before);
      assert.doesNotMatch(await client.must(["ip", "link"]), /fz0/);
    });

    await polkit.stop();
    await startPolkit(client, "// No rule of ours.\n");
    await client.must(["sh", "-c", "rm /etc/polkit-1/rules.d/*"]);
    await client.writeFile(POLKIT_FILE, polkitRule());

    await check("with it: names of resources resolve, also after somebody wrote over the file", async () => {
      const session = startService(network, "network-manager");
      await isOurs().catch((error) => {
        throw new Error(`${error}\n${session.describe()}`);
      });
      assert.match(await client.must(["getent", "ahostsv4", "web.site.test"]), /^100\./);
      assert.match(await network.curl("http://web.site.test/"), /hello/);
      await client.writeFile("/etc/resolv.conf", `nameserver ${upstream}\n`);
      await isOurs().catch((error) => {
        throw new Error(`${error}\n${session.describe()}`);
      });
      assert.equal((await session.stop()).code, 0, session.describe());
      await eventually(async () => assert.equal(await client.readFile("/etc/resolv.conf"), before));
    });

    await check("NetworkManager is restarted while it runs: told again", async () => {
      const session = startService(network, "network-manager");
      await isOurs();
      await client.must(["sh", "-c", "kill $(pidof NetworkManager)"]);
      // Its successor ends at once where the name is still taken.
      await eventually(async () => assert.doesNotMatch(await namesOnBus(client), /NetworkManager/));
      await client.writeFile("/etc/resolv.conf", `nameserver ${upstream}\n`);
      client.spawn(["NetworkManager", "--no-daemon"]);
      await isOurs().catch((error) => {
        throw new Error(`${error}\n${session.describe()}`);
      });
      await eventually(async () =>
        assert.match(await client.must(["getent", "ahostsv4", "web.site.test"]), /^100\./)
      );
      assert.equal((await session.stop()).code, 0, session.describe());
      await eventually(async () => assert.equal(await client.readFile("/etc/resolv.conf"), before));
    });

    await check("it may do one thing more than a stranger, and cannot change connections", async () => {
      const permitted = async (by: readonly string[]) => {
        const said = await client.must([
          ...[...by, "busctl", "call", "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"],
          ...["org.freedesktop.NetworkManager", "GetPermissions"],
        ]);
        return [...said.matchAll(/"org\.freedesktop\.NetworkManager\.([\w.-]+)" "yes"/g)].map(([, id]) =>
          id!
        );
      };
      const strangers = await permitted(AS_STRANGER);
      const more = (await permitted(AS_SERVICE)).filter((id) => !strangers.includes(id));
      assert.deepEqual(more, ["network-control"]);
      const modified = await client.run([
        ...[...AS_SERVICE, "nmcli", "connection", "modify", "lab", "ipv4.dns", "192.0.2.53"],
      ]);
      assert.notEqual(modified.code, 0);
      assert.match(modified.stderr, /insufficient privileges|not authorized/i);
    });
  }),
);
