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

const LINUX: readonly DnsControl[] = [
  "systemd-resolved",
  "network-manager",
  "resolvconf",
  "etc-resolv-conf",
  "disabled",
];

/** Returns the ways that a machine with `os` can have, as the runtime names systems. */
export function dnsControlsOf(os: string): readonly DnsControl[] {
  switch (os) {
    case "darwin":
      return ["scutil", "disabled"];
    case "windows":
      return ["nrpt", "disabled"];
    default:
      return LINUX;
  }
}

/**
 * Returns why no machine with `os` has `control`, the end of a sentence that names its ways; undefined if one may.
 */
export function foreignDnsControl(control: DnsControl, os: string): string | undefined {
  const ways = dnsControlsOf(os);
  if (ways.includes(control)) return undefined;
  return `"${control}" is a way of another system; on this one it is ${
    ways.map((way) => `"${way}"`).join(", ").replace(/, ([^,]*)$/, " or $1")
  }`;
}
