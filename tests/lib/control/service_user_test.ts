import assert from "node:assert/strict";
import {
  polkitRule,
  serviceUser,
  type ServiceUserFacts,
  sysusersText,
} from "../../../lib/control/service/user.ts";

const FACTS: ServiceUserFacts = {
  dnsControl: "systemd-resolved",
  hasPolkit: true,
  hasUsers: true,
  closed: undefined,
};

Deno.test("serviceUser: its own user where a daemon sets DNS, root where a file must be written", () => {
  const table: readonly (readonly [Partial<ServiceUserFacts>, string, boolean, RegExp])[] = [
    [{}, "fz", true, /polkit/],
    [{ dnsControl: "network-manager" }, "fz", true, /polkit/],
    [{ dnsControl: "disabled" }, "fz", false, /left alone/],
    [{ dnsControl: "disabled", hasPolkit: false }, "fz", false, /left alone/],
    [{ hasPolkit: false }, "root", false, /polkit only, which is not installed/],
    [{ dnsControl: "etc-resolv-conf" }, "root", false, /only root may write the file/],
    [{ dnsControl: "resolvconf" }, "root", false, /only root may write the file/],
    [{ dnsControl: undefined }, "root", false, /only root/],
    [{ hasUsers: false }, "root", false, /cannot make system users/],
    [{ closed: '"/root/fz/main.ts"' }, "root", false, /only its owner may read "\/root\/fz\/main\.ts"/],
  ];
  for (const [change, name, needsRule, reason] of table) {
    const user = serviceUser({ ...FACTS, ...change });
    assert.deepEqual([user.name, user.needsRule], [name, needsRule], JSON.stringify(change));
    assert.match(user.reason, reason);
  }
});

Deno.test("sysusersText: one system user with its own group", () => {
  const lines = sysusersText().split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(lines, ['u fz - "fz, client for Firezone" /var/lib/fz']);
});

Deno.test("polkitRule: what the user may, as polkit's own interpreter would be told", () => {
  const results = { YES: "yes", NOT_HANDLED: null };
  let rule: (action: { id: string }, subject: { user: string }) => unknown = () => "no rule";
  const polkit = { Result: results, addRule: (added: typeof rule) => rule = added };
  new Function("polkit", polkitRule())(polkit);
  const may = (user: string, id: string) => rule({ id }, { user });
  for (const verb of ["set-dns-servers", "set-domains", "set-default-route", "set-llmnr", "revert"]) {
    assert.equal(may("fz", `org.freedesktop.resolve1.${verb}`), "yes", verb);
    assert.equal(may("alice", `org.freedesktop.resolve1.${verb}`), null, verb);
  }
  for (
    const id of [
      "org.freedesktop.resolve1.register-service",
      "org.freedesktop.NetworkManager.settings.modify.system",
      "org.freedesktop.systemd1.manage-units",
      "indexOf",
    ]
  ) assert.equal(may("fz", id), null, id);
});
