/** What `ip` lists and what netlink lists, in the same words, to be compared. */

import assert from "node:assert/strict";
import { type Family, IpNetwork } from "../../../lib/base/ip.ts";
import type { NetlinkRoute, NextHop, Route, Rule } from "../../../ffi/linux/netlink/mod.ts";

/** Runs `script` in this namespace and returns what it printed; it must not fail. */
export function sh(script: string): string {
  const { code, stdout, stderr } = new Deno.Command("sh", { args: ["-ec", script] }).outputSync();
  const text = new TextDecoder().decode(stdout);
  assert.equal(code, 0, `${script}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

type Entry = Record<string, unknown>;

/** Returns what `ip` lists as JSON, numbers in place of names. */
export function ip(args: string): Entry[] {
  return JSON.parse(sh(`ip -N -j -d ${args}`) || "[]");
}

/** What is undefined, false or nothing is as good as not there. */
function told(entry: Entry): string {
  return JSON.stringify(
    Object.fromEntries(
      Object.entries(entry)
        .filter(([, value]) => value !== undefined && value !== false)
        .sort(([a], [b]) => a < b ? -1 : 1),
    ),
  );
}

function network(family: Family, text: unknown): string {
  return String(text === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : IpNetwork.from(String(text)));
}

function isDead(flags: unknown): boolean {
  return Array.isArray(flags) && (flags.includes("linkdown") || flags.includes("dead"));
}

const ROUTE_TYPES = [
  "",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
];

/** A route as `ip` has it, in the words of both. */
function theirRoute(family: Family, route: Entry): string {
  const gateway = (entry: Entry) => entry.gateway ?? (entry.via as { host: string } | undefined)?.host;
  const metrics = route.metrics as readonly { mtu?: number }[] | undefined;
  const hops = route.nexthops as readonly Entry[] | undefined;
  return told({
    to: network(family, route.dst),
    table: Number(route.table),
    protocol: Number(route.protocol),
    scope: Number(route.scope),
    type: ROUTE_TYPES[Number(route.type)],
    dev: route.dev,
    gateway: gateway(route),
    source: route.prefsrc,
    metric: route.metric,
    mtu: metrics?.[0]?.mtu,
    tos: route.tos === undefined ? undefined : Number(route.tos),
    from: route.from === undefined ? undefined : network(family, route.from),
    isDead: isDead(route.flags),
    nextHopId: route.nhid,
    hops: hops?.map((hop) =>
      told({ dev: hop.dev, gateway: gateway(hop), weight: hop.weight, isDead: isDead(hop.flags) })
    ),
  });
}

function ourRoute(links: ReadonlyMap<number, string>, route: Route): string {
  const { destination, table, protocol, scope, type, gateway, source, metric, mtu, tos, from, nextHopId } =
    route;
  const way = ({ index, gateway, weight, isDead }: NextHop) =>
    told({ dev: links.get(index), gateway: gateway?.toString(), weight, isDead });
  return told({
    to: String(destination),
    table,
    protocol,
    scope,
    type,
    dev: route.index === undefined ? undefined : links.get(route.index),
    gateway: gateway?.toString(),
    source: source?.toString(),
    metric,
    mtu,
    tos,
    from: from?.toString(),
    isDead: route.isDead,
    nextHopId,
    hops: route.nextHops?.map(way),
  });
}

const RULE_ACTIONS = new Map([["6", "blackhole"], ["7", "unreachable"], ["8", "prohibit"]]);

function theirRule(rule: Entry): string {
  const selector = (address: unknown, length: unknown) =>
    address === undefined || address === "all"
      ? undefined
      : String(IpNetwork.from(length === undefined ? String(address) : `${address}/${length}`));
  const ports = (name: string) => {
    const first = rule[name] ?? rule[`${name}_start`];
    return first === undefined ? undefined : `${first}-${rule[`${name}_end`] ?? first}`;
  };
  const isLookup = rule.table !== undefined || "l3mdev" in rule;
  return told({
    priority: rule.priority,
    table: Number(rule.table ?? 0),
    protocol: Number(rule.protocol),
    not: "not" in rule,
    action: isLookup
      ? "lookup"
      : "goto" in rule
      ? "goto"
      : "nop" in rule
      ? "nop"
      : RULE_ACTIONS.get(String(rule.action)),
    mark: rule.fwmark === undefined ? undefined : Number(rule.fwmark),
    mask: rule.fwmask === undefined ? undefined : Number(rule.fwmask),
    to: selector(rule.dst, rule.dstlen),
    from: selector(rule.src, rule.srclen),
    iif: rule.iif,
    oif: rule.oif,
    ipProtocol: rule.ipproto === undefined ? undefined : Number(String(rule.ipproto).replace(/\D+/, "")),
    sport: ports("sport"),
    dport: ports("dport"),
    suppress: rule.suppress_prefixlen,
    goto: rule.goto,
    tos: rule.tos === undefined ? undefined : Number(rule.tos),
    users: rule.uid_start === undefined ? undefined : `${rule.uid_start}-${rule.uid_end}`,
    isVrf: "l3mdev" in rule,
  });
}

function ourRule(rule: Rule): string {
  const range = (range: { readonly first: number; readonly last: number } | undefined) =>
    range === undefined ? undefined : `${range.first}-${range.last}`;
  return told({
    priority: rule.priority,
    table: rule.table,
    protocol: rule.protocol,
    not: rule.not,
    action: rule.action,
    mark: rule.mark,
    mask: rule.mask,
    to: rule.destination?.toString(),
    from: rule.source?.toString(),
    iif: rule.inputLink,
    oif: rule.outputLink,
    ipProtocol: rule.ipProtocol,
    sport: range(rule.sourcePort),
    dport: range(rule.destinationPort),
    suppress: rule.suppressPrefixLength,
    goto: rule.goto,
    tos: rule.tos,
    users: range(rule.users),
    isVrf: rule.isVrf,
  });
}

/** Compares all that both list. */
export function assertSame(netlink: NetlinkRoute): void {
  const links = new Map(netlink.links().map(({ index, name }) => [index, name]));
  for (const family of [4, 6] as const) {
    const theirs = ip(`-${family} route show table all`).map((route) => theirRoute(family, route));
    const ours = netlink.routes({ family }).map((route) => ourRoute(links, route));
    assert.deepEqual(ours.sort(), theirs.sort());
    assert.deepEqual(netlink.rules(family).map(ourRule), ip(`-${family} rule`).map(theirRule));
  }
  const theirLinks = ip("link show").map(({ ifindex, ifname, flags, mtu, txqlen, operstate, linkinfo }) => ({
    index: ifindex,
    name: ifname,
    isUp: (flags as string[]).includes("UP"),
    operState: String(operstate).toLowerCase(),
    mtu,
    txQueueLength: txqlen,
    kind: (linkinfo as Entry | undefined)?.info_kind,
  }));
  const ourLinks = netlink.links().map(({ index, name, isUp, operState, mtu, txQueueLength, kind }) => ({
    index,
    name,
    isUp,
    operState: operState.replaceAll("-", ""),
    mtu,
    txQueueLength,
    kind,
  }));
  assert.deepEqual(ourLinks, theirLinks);
  const theirAddresses = ip("addr show").flatMap(({ ifname, addr_info }) =>
    (addr_info as Entry[]).map(({ local, address, prefixlen, scope }) =>
      `${ifname} ${local}/${prefixlen} ${address} ${scope}`
    )
  );
  const ourAddresses = netlink.addresses().map(({ index, address, prefix, peer, scope }) =>
    `${links.get(index)} ${address}/${prefix} ${peer} ${scope}`
  );
  assert.deepEqual(ourAddresses.sort(), theirAddresses.sort());
}
