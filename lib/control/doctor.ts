/**
 * What `fz doctor` thinks of a machine: facts in, findings out, each with the command that mends it. The facts are
 * gathered by `io/doctor.ts`; whatever could not be found out is undefined and leads to no finding.
 */

import type { FaultCode } from "../base/fault.ts";
import { IpNetwork } from "../base/ip.ts";
import { checksPortRules } from "../host/port_rules.ts";
import { type Missing, missingPrivileges, type PrivilegeFacts } from "../host/privilege.ts";
import type { DnsControl } from "./config.ts";
import type { NetcheckFacts, RelayFacts } from "./netcheck.ts";

/** What was seen on the machine. */
export interface DoctorFacts {
  readonly os: string;
  /** Undefined on systems where nothing is known of them. */
  readonly privileges: PrivilegeFacts | undefined;
  readonly dns: DnsFacts | undefined;
  /** Kernel's reverse path filter by interface; 1 is strict. Includes "all". */
  readonly rpFilter: Readonly<Record<string, number>>;
  /** Version of the kernel (uname(2)); undefined where it is not Linux. */
  readonly release?: string | undefined;
  /** Limits of socket buffers in bytes. */
  readonly bufferLimits: { readonly receive: number | undefined; readonly send: number | undefined };
  /** Networks that lead to or are on other devices than ours. */
  readonly networks: readonly { readonly device: string; readonly network: string }[];
  /** Names of processes of other clients, with their ids. */
  readonly otherClients: readonly { readonly name: string; readonly pid: number }[];
  readonly session: SessionFacts;
  /** Whether there is a default route over a link that is up; undefined where it cannot be seen. */
  readonly hasPath?: boolean | undefined;
  /** Clock of this machine minus that of the portal. */
  readonly clockSkewMs: number | undefined;
  readonly portal: { readonly url: string; readonly failure: string | undefined } | undefined;
  /** By which relays UDP came through; undefined where none is known. */
  readonly udp: { readonly asked: number; readonly answered: number } | undefined;
  readonly credential: {
    readonly path: string;
    readonly failure: string | undefined;
    readonly exists: boolean;
    /** The variable that has a token; it wins over the file. */
    readonly variable?: string | undefined;
  };
  /** Why the settings of the profile cannot be used. */
  readonly settingsFailure: string | undefined;
}

/** What names are resolved by. */
export interface DnsFacts {
  readonly control: DnsControl;
  /** Why this way fits, or is taken: one sentence, and what was seen of the machine. */
  readonly reason: string;
  readonly evidence: readonly string[];
  /** Whether the method is at hand; why not, otherwise. */
  readonly failure: string | undefined;
  /** Resolvers that the machine asks; without any, names that are no resources get no answer. */
  readonly resolvers: number;
  /** The same in words. */
  readonly addresses: readonly string[];
  /** The way was asked for by a setting. */
  readonly isAsked: boolean;
  /** Where the session that runs stands with it. */
  readonly session?: { readonly repairs: number; readonly problem: string | undefined } | undefined;
}

/** The session of this user, and what an earlier one left. */
export interface SessionFacts {
  readonly state: "running" | "killed" | "none";
  readonly pid: number | undefined;
  /** Rules and routes of ours while no session runs. */
  readonly leftovers: readonly string[];
  /** What a session that runs cannot do on this machine: sentences. */
  readonly degraded?: readonly string[];
}

/** What the command knows from the settings; the rest of the facts is gathered on the machine. */
export interface DoctorQuestion {
  readonly apiUrl: string;
  readonly tokenPath: string;
  readonly dnsControl: DnsControl | undefined;
  readonly tunName: string | undefined;
  readonly settingsFailure: string | undefined;
  /** The variable that has a token. */
  readonly tokenVariable: string | undefined;
  /** What was measured of the network. */
  readonly network: NetcheckFacts;
}

/** One thing that was looked at. */
export interface Finding {
  /** Stable word for programs: "tun", "clock", … */
  readonly check: string;
  readonly status: "ok" | "warning" | "problem" | "skipped";
  /** One sentence. */
  readonly message: string;
  /** What follows from it. */
  readonly detail?: string;
  /** The command that mends it. */
  readonly fix?: string;
  /** Why a session would fail, where it would. */
  readonly code?: FaultCode;
}

/**
 * Returns how many of `relays` were asked by UDP and answered. A family by which none answers counts only where the other
 * one fails, too: many networks have one family.
 */
export function udpOf(relays: readonly RelayFacts[]): DoctorFacts["udp"] {
  const answers = ([4, 6] as const).map((family) => {
    const asked = relays.filter(({ relay }) => relay.ip.family === family);
    return { asked: asked.length, answered: asked.filter(({ rttMs }) => rttMs !== undefined).length };
  });
  const working = answers.filter(({ answered }) => answered > 0);
  const counted = working.length > 0 ? working : answers;
  const sum = (name: "asked" | "answered") => counted.reduce((total, each) => total + each[name], 0);
  return relays.length === 0 ? undefined : { asked: sum("asked"), answered: sum("answered") };
}

/** Returns what there is to say about `facts`, in the order in which a session needs things. */
export function diagnose(facts: DoctorFacts): readonly Finding[] {
  return [
    ...(facts.os === "linux" ? [...privileges(facts), dns(facts)] : []),
    settings(facts),
    credential(facts),
    portal(facts),
    clock(facts),
    udp(facts),
    ...(facts.os === "linux" ? [reversePath(facts), buffers(facts), overlap(facts)] : []),
    otherClients(facts),
    leftovers(facts),
    ...limits(facts),
  ].filter((finding): finding is Finding => finding !== undefined);
}

/** Returns the code of the first finding that keeps a session from working. */
export function worst(findings: readonly Finding[]): FaultCode | undefined {
  return findings.find(({ status }) => status === "problem")?.code;
}

/** The device and the capability, in the words of the session that would not start. */
function privileges({ privileges }: DoctorFacts): readonly Finding[] {
  if (privileges === undefined) return [];
  const missing = missingPrivileges(privileges);
  const found = (what: Missing["what"], check: string, message: string): Finding => {
    const trouble = missing.find((each) => each.what === what);
    if (trouble === undefined) return { check, status: "ok", message };
    const { state, detail, fix, code } = trouble;
    return { check, status: "problem", message: state, detail, fix, code };
  };
  return [
    ...privileges.tun === undefined ? [] : [found("tun", "tun", "/dev/net/tun can be opened")],
    ...privileges.hasNetAdmin === undefined
      ? []
      : [found("net-admin", "privilege", "the capability CAP_NET_ADMIN is there")],
  ];
}

function dns({ dns }: DoctorFacts): Finding | undefined {
  if (dns === undefined) return undefined;
  const { control, reason, evidence, failure, resolvers, session, isAsked } = dns;
  if (failure !== undefined) {
    return {
      check: "dns",
      status: "problem",
      message: uncapitalised(failure),
      fix: isAsked
        ? "fz config unset dns-control, to use what fits this machine"
        : "fz config set dns-control disabled, or another method",
      code: "dns",
    };
  }
  if (session?.problem !== undefined) {
    return {
      check: "dns",
      status: "problem",
      message: `names do not reach the session: ${session.problem}`,
      detail: `Their way is "${control}".`,
      fix:
        "stop the program that changes this machine's DNS, or choose another way with fz config set dns-control",
      code: "dns",
    };
  }
  if (session !== undefined && session.repairs > 0) {
    return {
      check: "dns",
      status: "warning",
      message:
        `somebody overwrote this machine's DNS settings; the session set them again ${session.repairs} times`,
      detail: evidence.join(". "),
      fix: "see fz dns status, and choose the service that does it with fz config set dns-control",
    };
  }
  if (control === "disabled") {
    const message = "this machine's DNS is left alone, as it was asked for: names of resources are not found";
    if (isAsked) return { check: "dns", status: "ok", message };
    return {
      check: "dns",
      status: "warning",
      message: `names of resources are not found: ${reason}`,
      detail: "This machine's DNS is left alone.",
      fix: "fz config set dns-control names a way; fz dns status tells what was seen",
    };
  }
  if (resolvers === 0) {
    return {
      check: "dns",
      status: "warning",
      message: "this machine has no resolver of its own",
      detail: "Names that are no resources get no answer, unless the account prescribes a resolver.",
      fix: "name one in /etc/resolv.conf",
    };
  }
  return { check: "dns", status: "ok", message: `names can be intercepted by "${control}": ${reason}` };
}

function settings({ settingsFailure }: DoctorFacts): Finding {
  if (settingsFailure === undefined) {
    return { check: "settings", status: "ok", message: "the profile's settings can be used" };
  }
  return {
    check: "settings",
    status: "problem",
    message: settingsFailure,
    fix: "fz config path names the file",
    code: "usage",
  };
}

function credential({ credential }: DoctorFacts): Finding {
  const { path, failure, exists, variable } = credential;
  if (variable !== undefined) {
    return { check: "credential", status: "ok", message: `the variable ${variable} has a token` };
  }
  if (failure !== undefined) {
    return {
      check: "credential",
      status: "problem",
      message: failure,
      fix: `chown root:root ${path}; chmod 600 ${path}`,
      code: "rejected",
    };
  }
  if (exists) return { check: "credential", status: "ok", message: "a token is stored" };
  return {
    check: "credential",
    status: "problem",
    message: "nobody has signed in",
    fix: "fz sign-in",
    code: "rejected",
  };
}

function portal({ portal, hasPath }: DoctorFacts): Finding | undefined {
  if (portal === undefined) return undefined;
  if (portal.failure === undefined) {
    return { check: "portal", status: "ok", message: "the portal can be reached" };
  }
  if (hasPath === false) {
    return {
      check: "portal",
      status: "problem",
      message:
        `this machine has no working default route, and the portal cannot be reached: ${portal.failure}`,
      fix: "connect this machine to a network, and see ip route",
      code: "unreachable",
    };
  }
  return {
    check: "portal",
    status: "problem",
    message: `the portal cannot be reached: ${portal.failure}`,
    fix: "fz config show --origin tells where its URL comes from",
    code: "unreachable",
  };
}

function clock({ clockSkewMs }: DoctorFacts): Finding | undefined {
  if (clockSkewMs === undefined) return undefined;
  const seconds = Math.round(Math.abs(clockSkewMs) / 1000);
  if (seconds <= TOLERATED_SKEW_S) {
    return { check: "clock", status: "ok", message: "the clock agrees with the portal's" };
  }
  return {
    check: "clock",
    status: seconds > FATAL_SKEW_S ? "problem" : "warning",
    message: `the clock is ${seconds} s ${clockSkewMs > 0 ? "ahead of" : "behind"} the portal's`,
    detail: "Certificates, tokens and the relays' passwords are valid for a time only.",
    fix: "timedatectl set-ntp true",
    code: "unreachable",
  };
}

function udp({ udp, portal, hasPath }: DoctorFacts): Finding | undefined {
  if (hasPath === false && portal?.failure !== undefined) {
    return { check: "udp", status: "skipped", message: "UDP was not judged: there is no network" };
  }
  if (udp === undefined || udp.asked === 0) {
    return {
      check: "udp",
      status: "skipped",
      message: "UDP was not tried: no relay is known",
      detail: "Relays are known to a session, and to the portal for whoever is signed in.",
      fix: "fz netcheck",
    };
  }
  if (udp.answered === udp.asked) {
    return { check: "udp", status: "ok", message: "UDP gets through to the relays" };
  }
  const isBlocked = udp.answered === 0;
  return {
    check: "udp",
    status: isBlocked ? "problem" : "warning",
    message: isBlocked
      ? "UDP is blocked: no relay answers"
      : `${udp.asked - udp.answered} of ${udp.asked} relays do not answer`,
    ...(isBlocked
      ? {
        detail: "A tunnel is UDP: to gateways directly, else to relays on port 3478.",
        fix: "allow outgoing UDP in the firewall, at least to port 3478",
        code: "unreachable" as const,
      }
      : { detail: "Others do, so this may do no harm.", fix: "fz netcheck" }),
  };
}

function reversePath({ rpFilter, release }: DoctorFacts): Finding | undefined {
  const all = rpFilter["all"] ?? 0;
  // The kernel takes the stricter of both, and loose (2) is the higher number.
  const strict = Object.entries(rpFilter)
    .filter(([name, value]) =>
      name !== "all" && name !== "default" && name !== "lo" && Math.max(all, value) === 1
    )
    .map(([name]) => name);
  if (Object.keys(rpFilter).length === 0) return undefined;
  if (strict.length === 0) {
    return { check: "rp-filter", status: "ok", message: "no strict reverse path filter" };
  }
  if (release !== undefined && checksPortRules(release)) {
    const message = `the reverse path filter is strict on ${strict.join(", ")}, and is told of our sockets`;
    return { check: "rp-filter", status: "ok", message };
  }
  return {
    check: "rp-filter",
    status: "warning",
    message: `the reverse path filter is strict on ${strict.join(", ")}`,
    detail:
      "This kernel cannot be told of our sockets: while the Internet resource is on, it may drop what gateways " +
      "and relays send.",
    fix: "sysctl -w net.ipv4.conf.all.rp_filter=2",
  };
}

function buffers({ bufferLimits }: DoctorFacts): Finding | undefined {
  const { receive, send } = bufferLimits;
  if (receive === undefined || send === undefined) return undefined;
  if (receive >= WANTED_BUFFER_BYTES && send >= WANTED_BUFFER_BYTES) {
    return { check: "buffers", status: "ok", message: "socket buffers may be large" };
  }
  return {
    check: "buffers",
    status: "warning",
    message: `socket buffers are limited to ${Math.floor(Math.min(receive, send) / 1024)} KiB`,
    detail: "Fast transfers lose packets in bursts.",
    fix: `sysctl -w net.core.rmem_max=${WANTED_BUFFER_BYTES} net.core.wmem_max=${WANTED_BUFFER_BYTES}`,
  };
}

function overlap({ networks }: DoctorFacts): Finding {
  const devices = new Set<string>();
  for (const { device, network } of networks) {
    const parsed = IpNetwork.parse(network);
    if (parsed === undefined || parsed.prefix === 0) continue;
    if (OWN_RANGES.some((range) => overlaps(range, parsed))) devices.add(device);
  }
  if (devices.size === 0) {
    return { check: "overlap", status: "ok", message: "nobody else uses the tunnel's addresses" };
  }
  const names = [...devices].map((device) => {
    const product = PRODUCTS.find(([pattern]) => pattern.test(device))?.[1];
    return product === undefined ? device : `${device} (${product})`;
  });
  return {
    check: "overlap",
    status: "warning",
    message: `${names.join(", ")} uses addresses of the tunnel's range 100.64.0.0/10`,
    detail: "Another VPN shares this range: what both claim reaches only one of them.",
    fix: "disconnect the other VPN while this one is up",
  };
}

function otherClients({ otherClients, session }: DoctorFacts): Finding {
  const others = otherClients.filter(({ pid }) => pid !== session.pid);
  if (others.length === 0) return { check: "clients", status: "ok", message: "no other client runs" };
  const [first] = others;
  return {
    check: "clients",
    status: "problem",
    message: `another client runs: ${others.map(({ name, pid }) => `${name} (pid ${pid})`).join(", ")}`,
    detail: "Two clients fight over routes, DNS and this device's place at the portal.",
    fix: first!.name === "fz"
      ? "fz down, as the user who runs it"
      : `stop it, for example: kill ${first!.pid}`,
    code: "tun",
  };
}

function leftovers({ session }: DoctorFacts): Finding {
  if (session.state === "running") {
    return { check: "leftovers", status: "ok", message: `a session runs (pid ${session.pid})` };
  }
  if (session.state === "none" && session.leftovers.length === 0) {
    return { check: "leftovers", status: "ok", message: "nothing is left of earlier sessions" };
  }
  return {
    check: "leftovers",
    status: "warning",
    message: "a killed session left things behind",
    ...(session.leftovers.length === 0 ? {} : { detail: session.leftovers.join("; ") }),
    fix: "fz cleanup",
  };
}

function limits({ session }: DoctorFacts): readonly Finding[] {
  return (session.degraded ?? []).map((sentence) => ({
    check: "limits",
    status: "warning",
    message: uncapitalised(sentence),
    detail: "The session works as far as this machine lets it.",
  }));
}

function uncapitalised(sentence: string): string {
  return `${sentence.slice(0, 1).toLowerCase()}${sentence.slice(1)}`;
}

function overlaps(one: IpNetwork, other: IpNetwork): boolean {
  return one.contains(other.address) || other.contains(one.address);
}

const TOLERATED_SKEW_S = 30;
/** TURN passwords and sign-in tokens live for minutes at least. */
const FATAL_SKEW_S = 300;
/** What a burst of one round trip of 50 ms needs at 1 Gbit/s. */
const WANTED_BUFFER_BYTES = 4 * 1024 * 1024;
const OWN_RANGES = ["100.64.0.0/10", "fd00:2021:1111::/48"].map((text) => IpNetwork.from(text));
const PRODUCTS: readonly (readonly [pattern: RegExp, product: string])[] = [
  [/^tailscale/, "Tailscale"],
  [/^(wt\d|nb-|netbird)/, "NetBird"],
  [/^(CloudflareWARP|warp)/i, "Cloudflare WARP"],
  [/^ziti/, "OpenZiti"],
  [/^tun-firezone/, "Firezone's own client"],
];
