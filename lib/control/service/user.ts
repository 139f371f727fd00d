/**
 * Who the service runs as: a system user of its own where DNS can be set by asking a daemon, which polkit(8) lets it do;
 * root with one capability where files of root must be written. Texts for sysusers.d(5) and polkit are here, too.
 */

import type { DnsControl } from "../config.ts";

/** Name of the system user; its group is the readers' group. */
export const SERVICE_USER = "fz";

/** Where what makes the user stands, and the rule that lets it set DNS. */
export const SYSUSERS_FILE = "/etc/sysusers.d/fz.conf";
export const POLKIT_FILE = "/etc/polkit-1/rules.d/49-fz.rules";

/** Who a service runs as, and why, for a person. */
export interface ServiceUser {
  readonly name: typeof SERVICE_USER | "root";
  readonly reason: string;
  /** Whether polkit must let it set DNS. */
  readonly needsRule: boolean;
}

/** What decides who a service runs as. */
export interface ServiceUserFacts {
  readonly dnsControl: DnsControl | undefined;
  /** Whether polkit with rules in JavaScript (0.106 and later) is installed. */
  readonly hasPolkit: boolean;
  /** Whether system users can be made. */
  readonly hasUsers: boolean;
  /** A file of the program that only its owner may read; undefined if everybody may read all. */
  readonly closed: string | undefined;
}

/** Returns who the service runs as. */
export function serviceUser({ dnsControl, hasPolkit, hasUsers, closed }: ServiceUserFacts): ServiceUser {
  const root = (reason: string): ServiceUser => ({ name: "root", reason, needsRule: false });
  if (!hasUsers) return root("this machine cannot make system users");
  if (closed !== undefined) return root(`only its owner may read ${closed}`);
  switch (dnsControl) {
    case "systemd-resolved":
    case "network-manager":
      return hasPolkit
        ? { name: SERVICE_USER, reason: `polkit lets it set DNS: ${POLKIT_FILE}`, needsRule: true }
        : root(`${dnsControl} listens to others than root by polkit only, which is not installed`);
    case "disabled":
      return { name: SERVICE_USER, reason: "DNS is left alone", needsRule: false };
    default:
      return root("only root may write the file that names are resolved by");
  }
}

/** Returns what makes the user, for systemd-sysusers(8). */
export function sysusersText(): string {
  return `# Made by \`fz service install\`; \`fz service uninstall\` removes it.
u ${SERVICE_USER} - "fz, client for Firezone" /var/lib/fz
`;
}

/**
 * Returns the rule for polkit: the user may set the DNS of links by systemd-resolved, forget it again and empty the
 * cache, and control NetworkManager's network, which owns the devices there. Nothing for anybody else.
 */
export function polkitRule(): string {
  const actions = ACTIONS.map((action) => `    "${action}",\n`).join("");
  return `// Made by \`fz service install\`; \`fz service uninstall\` removes it.
polkit.addRule(function (action, subject) {
  if (subject.user !== "${SERVICE_USER}") return polkit.Result.NOT_HANDLED;
  var allowed = [
${actions}  ];
  return allowed.indexOf(action.id) < 0 ? polkit.Result.NOT_HANDLED : polkit.Result.YES;
});
`;
}

/** org.freedesktop.resolve1(5) and NetworkManager(8): those of links, none of the machine's settings. */
const ACTIONS = [
  "org.freedesktop.resolve1.set-dns-servers",
  "org.freedesktop.resolve1.set-domains",
  "org.freedesktop.resolve1.set-default-route",
  "org.freedesktop.resolve1.set-llmnr",
  "org.freedesktop.resolve1.set-mdns",
  "org.freedesktop.resolve1.set-dns-over-tls",
  "org.freedesktop.resolve1.set-dnssec",
  "org.freedesktop.resolve1.revert",
  "org.freedesktop.NetworkManager.network-control",
];
