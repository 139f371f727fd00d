/** By which of its services a machine is told about our resolvers. */

/** Every way, of every operating system. "disabled" leaves the machine's DNS alone. */
export const DNS_CONTROLS = [
  "systemd-resolved",
  "network-manager",
  "resolvconf",
  "etc-resolv-conf",
  "scutil",
  "nrpt",
  "disabled",
] as const;

/** One of them. */
export type DnsControl = typeof DNS_CONTROLS[number];
