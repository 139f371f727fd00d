import assert from "node:assert/strict";
import { inLab } from "../../io/lab/lab.ts";
import { usePackages } from "./support/packages.ts";

Deno.test("usePackages: gives a lab host programs that this machine has not, and this machine nothing", () =>
  inLab(async (lab) => {
    const [first, second, other] = await Promise.all(["first", "second", "other"].map((n) => lab.host(n)));
    await usePackages(first!, ["systemd-resolved", "network-manager"]);
    assert.match(await first!.must(["resolvectl", "--version"]), /systemd/);
    assert.match(await first!.must(["nmcli", "--version"]), /version/);
    assert.match(await first!.must(["NetworkManager", "--version"]), /^\d/);
    assert.match(await first!.must(["getent", "passwd", "systemd-resolve"]), /systemd-resolve/);
    assert.match(await first!.readFile("/etc/NetworkManager/NetworkManager.conf"), /\[main\]/);

    await usePackages(second!, ["resolvconf"]);
    assert.match(await second!.readFile("/sbin/resolvconf"), /Debian/i);
    await usePackages(second!, ["openresolv"]);
    assert.match(await second!.readFile("/sbin/resolvconf"), /Roy Marples/);
    await second!.writeFile("/etc/network/if-up.d/mine", "");

    assert.notEqual((await other!.run(["test", "-e", "/run/fz-packages"])).code, 0);
    await assert.rejects(Deno.stat("/etc/network/if-up.d/mine"), Deno.errors.NotFound);
  }));
