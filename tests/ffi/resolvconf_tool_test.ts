import assert from "node:assert/strict";
import fc from "fast-check";
import { hostSources } from "../../ffi/linux/dns_observe.ts";
import { findResolvconf, parseRecords, recordName } from "../../ffi/linux/resolvconf_tool.ts";

Deno.test("parseRecords: takes the records apart in resolvconf's order", () => {
  const output = "# resolv.conf from lo.dnsmasq\nnameserver 127.0.0.1\n" +
    "# resolv.conf from eth0.dhclient\n# by DHCP\nsearch corp.test\nnameserver 192.0.2.1\n\n";
  assert.deepEqual(parseRecords(output), [
    { name: "lo.dnsmasq", text: "nameserver 127.0.0.1" },
    { name: "eth0.dhclient", text: "# by DHCP\nsearch corp.test\nnameserver 192.0.2.1\n\n" },
  ]);
  fc.assert(fc.property(fc.string(), (text) => {
    parseRecords(text);
  }));
});

Deno.test("recordName: comes first in Debian's order, whatever the administrator made of it", () => {
  assert.equal(recordName("debian", "fz0", undefined), "tun.fz0");
  assert.equal(recordName("debian", "fz0", "# interface-order(5)\nlo.inet6\nlo\ntun*\ntap*\n"), "tun.fz0");
  assert.equal(recordName("debian", "fz0", "lo.@(dnsmasq|pdnsd)\nvpn* # ours\ntun*\n"), "vpn.fz0");
  assert.equal(recordName("openresolv", "fz0", undefined), "fz0.fz");
  fc.assert(fc.property(fc.string(), (order) => {
    assert.match(recordName("debian", "fz0", order), /^[A-Za-z0-9-]+\.fz0$/);
  }));
});

Deno.test("findResolvconf: tells the three programs of that name apart", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/resolvconf`;
    await Deno.writeTextFile(path, "#!/bin/sh\n# This file is part of the resolvconf package.\n");
    assert.equal(findResolvconf(folder), "debian");
    await Deno.writeTextFile(path, "#!/bin/sh\n# Copyright (c) 2007-2020 Roy Marples\n");
    assert.equal(findResolvconf(folder), "openresolv");
    await Deno.remove(path);
    await Deno.writeTextFile(`${folder}/resolvectl`, "");
    await Deno.symlink("resolvectl", path);
    assert.equal(findResolvconf(folder), "systemd");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hostSources: reads the order of nsswitch.conf, without actions and comments", () => {
  assert.deepEqual(
    hostSources(
      "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns # x\n",
    ),
    ["files", "mdns4_minimal", "resolve", "dns"],
  );
  assert.equal(hostSources("passwd: files\n"), undefined);
  fc.assert(fc.property(fc.string(), (text) => {
    hostSources(text);
  }));
});
