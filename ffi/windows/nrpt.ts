/**
 * What has to be in the registry so that Windows asks our resolvers: a rule for all names in the name resolution policy
 * table ([MS-GPNRPT]), and the resolvers of our adapter, for tools that look there (ipconfig, WSL). Pure data.
 */

import type { IpAddress } from "../../lib/base/ip.ts";
import type { Registry, RegistryValue } from "./registry.ts";

/** A value that has to be there. */
export interface Edit {
  readonly path: string;
  readonly name: string;
  readonly value: RegistryValue;
}

/** Our rule's name. It is the same for all sessions: two rules for all names would fight. */
export const RULE = "{3E0A8B52-7C41-4D96-9F1D-5B6C0F2A71E4}";
/** By which an administrator finds the rule. */
const COMMENT = "fz";

/** The machine's own rules. */
const LOCAL = "SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";
/** Those of group policy: where there are any, Windows looks at no others. */
const POLICY = "SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig";
/** The service that follows the rules. */
const SERVICE = "SYSTEM\\CurrentControlSet\\Services\\Dnscache";
const DISABLED = 4;

/** Returns the keys that a rule of ours has to be at on a machine with the registry `registry`. */
export function ruleKeys(registry: Pick<Registry, "hasKey">): string[] {
  return [LOCAL, ...registry.hasKey(POLICY) ? [POLICY] : []].map((parent) => `${parent}\\${RULE}`);
}

/** Returns all keys that a rule of ours may be at. */
export function allRuleKeys(): string[] {
  return [LOCAL, POLICY].map((parent) => `${parent}\\${RULE}`);
}

/** Returns whether the service that follows the rules is turned off. */
export function isServiceDisabled(registry: Pick<Registry, "read">): boolean {
  return registry.read(SERVICE, "Start") === DISABLED;
}

/** Returns the values of the rule at `key`. */
export function ruleEdits(key: string, sentinels: readonly IpAddress[]): Edit[] {
  const values: Record<string, RegistryValue> = {
    Comment: COMMENT,
    // Ask the servers named here.
    ConfigOptions: 8,
    DisplayName: "fz: names of resources",
    GenericDNSServers: serverList(sentinels),
    // Last of these, for without a name the rule means nothing yet.
    Version: 2,
    Name: ["."],
  };
  return Object.entries(values).map(([name, value]) => ({ path: key, name, value }));
}

/** Returns what the rule says about servers. */
export function serverList(sentinels: readonly IpAddress[]): string {
  return sentinels.join(";");
}

/** Name of the value that `serverList` is in. */
export const SERVERS_VALUE = "GenericDNSServers";

/** Returns the values of the adapter `guid`. */
export function adapterEdits(
  guid: string,
  sentinels: readonly IpAddress[],
  searchDomain: string | undefined,
): Edit[] {
  return adapterKeys(guid).flatMap(({ path, family }) => [
    {
      path,
      name: "NameServer",
      value: sentinels.filter((sentinel) => sentinel.family === family).join(","),
    },
    { path, name: "SearchList", value: searchDomain ?? "" },
  ]);
}

/** Returns the values that `adapterEdits` makes, to be removed. */
export function adapterValues(guid: string): Pick<Edit, "path" | "name">[] {
  return adapterKeys(guid).flatMap(({ path }) =>
    ["NameServer", "SearchList"].map((name) => ({ path, name }))
  );
}

/** Returns whether `text` is a GUID in braces: it becomes part of a path. */
export function isGuid(text: string): boolean {
  return /^\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$/i.test(text);
}

function adapterKeys(guid: string) {
  return ([["Tcpip", 4], ["Tcpip6", 6]] as const).map(([service, family]) => ({
    path: `SYSTEM\\CurrentControlSet\\Services\\${service}\\Parameters\\Interfaces\\${guid}`,
    family,
  }));
}
