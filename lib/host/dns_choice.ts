/**
 * Which service manages a machine's DNS, judged by what was seen of it: no single file tells. The order of evidence: who
 * answers at the address in /etc/resolv.conf, who owns the file, which tools are there.
 */

import { type DnsControl } from "./dns_control.ts";

/** What was seen on the machine. What could not be seen is undefined or false. */
export interface DnsObservation {
  readonly os: string;
  /** /etc/resolv.conf. */
  readonly resolvConf: {
    readonly exists: boolean;
    /** Where it leads in the end, if it is a symbolic link. */
    readonly target: string | undefined;
    /** At most the first 64 KiB. */
    readonly text: string;
    /** It is a mount of its own, as container engines make it: it cannot be replaced, only written. */
    readonly isMount: boolean;
    /** This process may write it, and make files beside it. */
    readonly isWritable: boolean;
    readonly isDirectoryWritable: boolean;
  };
  /** Names with an owner on the system bus; undefined: there is no bus. */
  readonly busNames: readonly string[] | undefined;
  /** systemd-resolved answers (or can be started) on the bus, or by `resolvectl`. */
  readonly resolved: "bus" | "tool" | undefined;
  /** NetworkManager's way of DNS: "default", "dnsmasq", "systemd-resolved", "none", …, and who writes resolv.conf for it. */
  readonly networkManager: { readonly mode: string; readonly rcManager: string } | undefined;
  /** Which resolvconf(8) is there; systemd's is only a shape of resolvectl. */
  readonly resolvconf: "debian" | "openresolv" | "systemd" | undefined;
  /** Whether this process is in a container. */
  readonly isContainer: boolean;
  readonly isWsl: boolean;
}

/** What was chosen, and why. */
export interface DnsChoice {
  readonly control: DnsControl;
  /** One sentence for a person. */
  readonly reason: string;
  /** Each piece of evidence that counted, in order, for a person. */
  readonly evidence: readonly string[];
}

/** Returns the control that fits. */
export function chooseDnsControl(seen: DnsObservation): DnsChoice {
  const { resolvConf, resolved } = seen;
  const isResolveds = resolvConf.target?.startsWith("/run/systemd/resolve/") === true ||
    /^nameserver\s+127\.0\.0\.53$/m.test(resolvConf.text);
  if (isResolveds && resolved !== undefined) {
    return { control: "systemd-resolved", reason: "systemd-resolved answers for this machine", evidence: [] };
  }
  return {
    control: "etc-resolv-conf",
    reason: "no service that we know manages this machine's DNS",
    evidence: [],
  };
}
