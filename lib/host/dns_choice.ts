/**
 * Which service manages a machine's DNS, judged by what was seen of it: no single file tells. The order of evidence: who
 * answers at the address in /etc/resolv.conf, who owns the file, which tools are there.
 */

import { type DnsControl } from "./dns_control.ts";
import { type FileOwner, fileOwner, isAskedAt, OWNER_NAMES } from "./resolv_conf_owner.ts";

/** What was seen on the machine. What could not be seen is undefined or false. */
export interface DnsObservation {
  readonly os: string;
  /** Undefined where there are no user ids. */
  readonly uid?: number | undefined;
  /** /etc/resolv.conf. */
  readonly resolvConf: {
    /** There is a file at the end of the path. */
    readonly exists: boolean;
    /** Where it leads in the end, if it is a symbolic link. */
    readonly target: string | undefined;
    /** At most the first 64 KiB. */
    readonly text: string;
    /** Why it cannot be read, and so not be put back: "it is not a regular file". */
    readonly flaw?: string | undefined;
    /** It is a mount of its own, as container engines make it: it cannot be replaced, only written. */
    readonly isMount: boolean;
    /** This process may write it, and make files beside it. */
    readonly isWritable: boolean;
    readonly isDirectoryWritable: boolean;
  };
  /** The sources of host names in nsswitch.conf(5), in order, without their actions; undefined: no such file or line. */
  readonly hostSources?: readonly string[] | undefined;
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

/** What is seen of a system whose DNS has one way only: nothing that would have to be judged. */
export const NOTHING_SEEN: Omit<DnsObservation, "os"> = {
  resolvConf: {
    exists: false,
    target: undefined,
    text: "",
    isMount: false,
    isWritable: false,
    isDirectoryWritable: false,
  },
  busNames: undefined,
  resolved: undefined,
  networkManager: undefined,
  resolvconf: undefined,
  isContainer: false,
  isWsl: false,
};

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
  if (seen.os === "darwin") return { control: "scutil", reason: "this is macOS", evidence: [] };
  if (seen.os === "windows") return { control: "nrpt", reason: "this is Windows", evidence: [] };
  const owner = fileOwner(seen.resolvConf);
  const evidence = [...fileEvidence(seen, owner), ...serviceEvidence(seen, owner)];
  const [control, reason] = byResolved(seen, owner) ?? byNetworkManager(seen, owner) ??
    byResolvconf(seen, owner) ?? byFile(seen, owner);
  return { control, reason, evidence };
}

/** Returns what is said of `control` that was demanded, where `fitting` would have been chosen. */
export function forcedDnsChoice(control: DnsControl, fitting: DnsChoice): DnsChoice {
  const reason = control === fitting.control
    ? `it was asked for by dns-control, and fits: ${fitting.reason}`
    : `it was asked for by dns-control; "${fitting.control}" would be chosen: ${fitting.reason}`;
  return { control, reason, evidence: fitting.evidence };
}

type Verdict = readonly [control: DnsControl, reason: string];

function byResolved(seen: DnsObservation, owner: FileOwner | undefined): Verdict | undefined {
  if (seen.resolved === undefined) return undefined;
  if (owner === "systemd-resolved" && !isUplinkMode(seen)) {
    return ["systemd-resolved", "systemd-resolved answers for this machine"];
  }
  // glibc then never gets to the file, whoever owns that.
  if (asksResolvedFirst(seen)) {
    return [
      "systemd-resolved",
      "nsswitch.conf sends names to systemd-resolved before /etc/resolv.conf is read",
    ];
  }
  return undefined;
}

/** The file names the upstream servers themselves: whoever reads it never asks systemd-resolved. */
function isUplinkMode({ resolvConf: { target, text } }: DnsObservation): boolean {
  return target === "/run/systemd/resolve/resolv.conf" && !isAskedAt(text, STUBS);
}

function asksResolvedFirst({ hostSources = [] }: DnsObservation): boolean {
  const [resolve, dns] = [hostSources.indexOf("resolve"), hostSources.indexOf("dns")];
  return resolve >= 0 && (dns < 0 || resolve < dns);
}

function byNetworkManager(seen: DnsObservation, owner: FileOwner | undefined): Verdict | undefined {
  const { networkManager: manager } = seen;
  if (manager === undefined || !isOnBus(seen, NETWORK_MANAGER) || manager.mode === "none") return undefined;
  if (manager.mode === "systemd-resolved" && seen.resolved === undefined) return undefined;
  const isWriter = owner === "network-manager" && manager.rcManager !== "unmanaged" ||
    owner === "netconfig" && manager.rcManager === "netconfig";
  if (!isWriter) return undefined;
  return [
    "network-manager",
    manager.mode === "dnsmasq"
      ? "NetworkManager answers for this machine by its own dnsmasq"
      : "NetworkManager writes /etc/resolv.conf",
  ];
}

function byResolvconf(
  { resolvconf, resolvConf: { target, text } }: DnsObservation,
  owner: FileOwner | undefined,
): Verdict | undefined {
  // Debian's leaves a file alone that is no link to its own.
  if (resolvconf === "debian" && owner === "resolvconf" && target !== undefined) {
    // It puts a forwarder on this machine before everything else, and has no record that comes first.
    if (isAskedAt(text, ["127.0.0.1", "::1"])) return undefined;
    return ["resolvconf", "resolvconf writes /etc/resolv.conf"];
  }
  if (resolvconf === "openresolv" && (owner === "openresolv" || owner === "resolvconf")) {
    return ["resolvconf", "openresolv writes /etc/resolv.conf"];
  }
  return undefined;
}

function byFile(seen: DnsObservation, owner: FileOwner | undefined): Verdict {
  const { exists, target, flaw, isMount, isWritable, isDirectoryWritable } = seen.resolvConf;
  if (flaw !== undefined) return ["disabled", `/etc/resolv.conf is not to be used: ${flaw}`];
  // A link is replaced itself; where it leads belongs to somebody else.
  const isPossible = isMount
    ? isWritable
    : target !== undefined || !exists
    ? isDirectoryWritable
    : isWritable || isDirectoryWritable;
  if (!isPossible && (seen.uid ?? 0) === 0) {
    return [
      "disabled",
      "/etc/resolv.conf cannot be written, not even by root, and no service that we know manages this machine's DNS",
    ];
  }
  const who = owner === "systemd-resolved" && seen.resolved === undefined
    ? "/etc/resolv.conf is systemd-resolved's, which does not answer"
    : owner === undefined || owner === "fz"
    ? undefined
    : WRITERS[owner];
  return [
    "etc-resolv-conf",
    who === undefined ? "no service that we know manages this machine's DNS" : who,
  ];
}

const WRITERS: Partial<Record<FileOwner, string>> = {
  "systemd-resolved": "nothing that reads /etc/resolv.conf asks systemd-resolved",
  "network-manager": "NetworkManager wrote /etc/resolv.conf, but does not manage it",
  "resolvconf": "resolvconf wrote /etc/resolv.conf, but cannot be made to put other resolvers first",
  "openresolv": "resolvconf wrote /etc/resolv.conf, but is not there to manage it",
  "wsl": "WSL writes /etc/resolv.conf when it starts, and then leaves it alone",
  "docker": "the container engine wrote /etc/resolv.conf when the container began, and then leaves it alone",
  "kubernetes": "Kubernetes wrote /etc/resolv.conf when the pod began, and then leaves it alone",
  "dhcpcd": "dhcpcd writes /etc/resolv.conf itself, and has no way to be told of resolvers",
  "netconfig": "netconfig writes /etc/resolv.conf, and nobody is there to tell it of resolvers",
  "connman": "ConnMan writes /etc/resolv.conf, and we do not know how to tell it of resolvers",
};

function fileEvidence({ resolvConf }: DnsObservation, owner: FileOwner | undefined): string[] {
  const { exists, target, isMount, isWritable, isDirectoryWritable, text, flaw } = resolvConf;
  const found: string[] = [];
  if (target !== undefined) {
    const isMissing = !exists && flaw === undefined;
    found.push(`/etc/resolv.conf leads to ${target}${isMissing ? ", which is not there" : ""}`);
  } else if (!exists) found.push("There is no /etc/resolv.conf");
  else if (isMount) found.push("/etc/resolv.conf is mounted, as container engines do it");
  else if (flaw === undefined) found.push("/etc/resolv.conf is a file of its own");
  if (owner === "fz") found.push("It was written by a session of fz");
  else if (owner !== undefined) found.push(`It is ${OWNER_NAMES[owner]}'s`);
  if (isAskedAt(text, ["127.0.0.11"])) found.push("It names Docker's own resolver, 127.0.0.11");
  else if (owner !== "systemd-resolved" && isAskedAt(text, STUBS)) {
    found.push("It names systemd-resolved's address");
  } else if (isAskedAt(text, ["127.0.0.1", "::1"])) found.push("It names a resolver on this machine itself");
  if (exists && !isWritable && !isDirectoryWritable) found.push("This process may not write it");
  return found;
}

function serviceEvidence(seen: DnsObservation, owner: FileOwner | undefined): string[] {
  const { resolved, networkManager, resolvconf, busNames } = seen;
  const found: string[] = [];
  if (busNames === undefined) found.push("There is no system bus");
  if (resolved !== undefined) {
    const how = resolved === "bus" ? "on the system bus" : "by resolvectl";
    found.push(`systemd-resolved answers ${how}`);
    if (owner !== "systemd-resolved") found.push("/etc/resolv.conf does not lead to systemd-resolved");
    else if (isUplinkMode(seen)) found.push("The file names systemd-resolved's upstream servers, not itself");
    if (asksResolvedFirst(seen)) {
      found.push("nsswitch.conf names systemd-resolved (resolve) before the file (dns)");
    }
  } else if (owner === "systemd-resolved" || isAskedAt(seen.resolvConf.text, STUBS)) {
    found.push("systemd-resolved does not answer");
  }
  if (seen.hostSources?.every((source) => source !== "dns" && source !== "resolve")) {
    found.push("nsswitch.conf names neither dns nor resolve: programs that go by it find no names");
  }
  if (networkManager !== undefined && isOnBus(seen, NETWORK_MANAGER)) {
    const { mode, rcManager } = networkManager;
    found.push(`NetworkManager runs, with dns=${mode} and rc-manager=${rcManager}`);
  } else if (owner === "network-manager") found.push("NetworkManager does not run");
  if (resolvconf === "systemd") found.push("resolvconf is systemd's, a name of resolvectl");
  else if (resolvconf !== undefined) {
    found.push(`${resolvconf === "debian" ? "Debian's resolvconf" : "openresolv"} is installed`);
  }
  if (seen.isWsl) found.push("This is WSL");
  else if (seen.isContainer) found.push("This is a container");
  return found;
}

function isOnBus({ busNames }: DnsObservation, name: string): boolean {
  return busNames?.includes(name) === true;
}

const NETWORK_MANAGER = "org.freedesktop.NetworkManager";
/** Where systemd-resolved listens (systemd-resolved.service(8)). */
const STUBS = ["127.0.0.53", "127.0.0.54"] as const;
