import assert from "node:assert/strict";
import { chooseDnsControl, NOTHING_SEEN } from "../../../lib/host/dns_choice.ts";
import { DNS_CONTROLS, dnsControlsOf, foreignDnsControl } from "../../../lib/host/dns_control.ts";

const SYSTEMS = ["linux", "darwin", "windows"] as const;

Deno.test("dnsControlsOf: every way is one of some system, and what is chosen on a system is one of its own", () => {
  assert.deepEqual(new Set(SYSTEMS.flatMap(dnsControlsOf)), new Set(DNS_CONTROLS));
  for (const os of SYSTEMS) {
    assert.ok(dnsControlsOf(os).includes("disabled"));
    assert.ok(dnsControlsOf(os).includes(chooseDnsControl({ ...NOTHING_SEEN, os }).control));
  }
});

Deno.test("foreignDnsControl: names the ways of this system, and says nothing of one of them", () => {
  for (const os of SYSTEMS) {
    for (const control of DNS_CONTROLS) {
      assert.equal(foreignDnsControl(control, os) === undefined, dnsControlsOf(os).includes(control));
    }
  }
  assert.equal(
    foreignDnsControl("nrpt", "linux"),
    '"nrpt" is a way of another system; on this one it is "systemd-resolved", "network-manager", "resolvconf", ' +
      '"etc-resolv-conf" or "disabled"',
  );
  assert.equal(
    foreignDnsControl("nrpt", "darwin"),
    '"nrpt" is a way of another system; on this one it is "scutil" or "disabled"',
  );
});
