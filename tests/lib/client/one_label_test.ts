import assert from "node:assert/strict";
import { ONE_LABEL_DOMAIN } from "../../../lib/dns/one_label.ts";
import { Harness, OFFICE, WIKI } from "./harness.ts";

const GITLAB = { ...WIKI, id: "r-git", name: "Git", address: "gitlab" };

Deno.test("ClientSession wants our search domain as long as a resource has a name of one label", () => {
  const harness = new Harness();
  harness.session.handlePortalJoined(harness.now);
  const wanted = () =>
    harness.takeEvents().flatMap((event) =>
      event.type === "interface" ? [event.config.dns.oneLabelDomain] : []
    );
  harness.init([OFFICE, WIKI]);
  assert.deepEqual(wanted(), [undefined]);
  harness.portal("resource_created_or_updated", GITLAB);
  assert.deepEqual(wanted(), [ONE_LABEL_DOMAIN]);
  harness.portal("resource_created_or_updated", { ...GITLAB, id: "r-git-2", address: "git-*" });
  assert.deepEqual(wanted(), []);
  harness.session.setDisabledResources([GITLAB.id, "r-git-2"], harness.now);
  assert.deepEqual(wanted(), [undefined]);
  harness.session.setDisabledResources([GITLAB.id], harness.now);
  assert.deepEqual(wanted(), [ONE_LABEL_DOMAIN]);
  harness.portal("resource_deleted", "r-git-2");
  assert.deepEqual(wanted(), [undefined]);
});

Deno.test("ClientSession answers below our search domain, and asks nobody about what is no resource's", () => {
  const harness = Harness.started([GITLAB]);
  harness.ask(`gitlab.${ONE_LABEL_DOMAIN}`);
  assert.match(harness.takeAnswers()[0]!, /^NOERROR A 100\.96\.0\.1 /);
  harness.ask(`nosuch.${ONE_LABEL_DOMAIN}`);
  harness.session.setDisabledResources([GITLAB.id], harness.now);
  harness.ask(`gitlab.${ONE_LABEL_DOMAIN}`);
  assert.deepEqual(harness.takeAnswers(), ["NXDOMAIN", "NXDOMAIN"]);
  assert.equal(harness.session.pollDnsQuery(), undefined);
});

Deno.test("ClientSession asks the portal for a device of one label once, however long its name was", () => {
  const pool = { type: "dynamic_device_pool", id: "r-pool", name: "Lab", address: "lab-*", filters: [] };
  const harness = Harness.started([pool]);
  harness.ask(`lab-7.${ONE_LABEL_DOMAIN}`);
  harness.ask("lab-7", "aaaa");
  assert.deepEqual(harness.takePortal(), [
    { event: "resolve_device_pool_domain", payload: { resource_id: "r-pool", domain: "lab-7" } },
  ]);
  harness.portal("device_pool_domain_resolved", {
    resource_id: "r-pool",
    domain: "lab-7",
    ipv4: "100.70.4.4",
    ipv6: "fd00:2021:1111::4:4",
  });
  assert.deepEqual(harness.takeAnswers(), ["NOERROR A 100.70.4.4", "NOERROR AAAA fd00:2021:1111::4:4"]);
});
