import assert from "node:assert/strict";
import * as fc from "fast-check";
import { IpAddress, IpNetwork } from "../../../lib/base/ip.ts";
import { ClientPeer } from "../../../lib/gateway/client_peer.ts";
import type { Filter } from "../../../lib/resource/filter.ts";
import { FilterSet } from "../../../lib/resource/filter.ts";
import type { GatewayServed } from "../../../lib/resource/resource.ts";
import { buildEcho, buildUnreachable } from "../../../lib/wire/icmp.ts";
import type { IpPacket } from "../../../lib/wire/ip.ts";
import { buildPacket, parsePacket } from "../../../lib/wire/ip.ts";
import { buildTcp } from "../../../lib/wire/tcp.ts";
import { buildUdp } from "../../../lib/wire/udp.ts";
import { packetBytes } from "../wire/packets.ts";

const CLIENT = { ipv4: IpAddress.from("100.64.0.1"), ipv6: IpAddress.from("fd00:2021:1111::1") };
const OWN = { ipv4: IpAddress.from("100.64.0.2"), ipv6: IpAddress.from("fd00:2021:1111::2") };
const SERVER = IpAddress.from("10.0.0.7");
const PUBLIC = IpAddress.from("203.0.113.9");
const PROXIES = ["100.96.0.1", "100.96.0.2", "100.96.0.3", "100.96.0.4"].map((text) => IpAddress.from(text));
const TCP_443: Filter = { protocol: "tcp", ports: { first: 443, last: 443 } };

const base = { name: "", addressDescription: undefined, sites: [] };

function cidr(id: string, network: string, ...filters: Filter[]): GatewayServed {
  return { type: "cidr", id, ...base, network: IpNetwork.from(network), filters: new FilterSet(filters) };
}

function dns(id: string, pattern: string, ...filters: Filter[]): GatewayServed {
  return { type: "dns", id, ...base, pattern, ipStack: "dual", filters: new FilterSet(filters) };
}

const INTERNET: GatewayServed = {
  type: "internet",
  id: "inet",
  ...base,
  canBeDisabled: false,
  filters: new FilterSet([]),
};

function load(bytes: Uint8Array): IpPacket {
  const parsed = parsePacket(bytes);
  assert(parsed.ok);
  return parsed.value;
}

function udp(source: IpAddress, destination: IpAddress, sourcePort = 5000, destinationPort = 53): IpPacket {
  return load(buildUdp({ source, destination, sourcePort, destinationPort, payload: new Uint8Array(4) }));
}

function tcp(source: IpAddress, destination: IpAddress, sourcePort = 5000, destinationPort = 443): IpPacket {
  return load(buildTcp({
    source,
    destination,
    sourcePort,
    destinationPort,
    sequence: 0,
    acknowledgment: 0,
    flags: 0x10,
    window: 1,
  }));
}

function peerWith(...resources: GatewayServed[]): ClientPeer {
  const peer = new ClientPeer("c1", CLIENT);
  for (const resource of resources) peer.authorize(resource, undefined);
  return peer;
}

function mapped(peer: ClientPeer, resourceId: string, domain: string, ...ipv4: string[]): void {
  assert.equal(peer.checkDomain(resourceId, domain), "allowed");
  const request = { type: "assigned-ips", resourceId, domain, proxyIps: PROXIES } as const;
  peer.assignProxies(request, { ipv4: ipv4.map((text) => IpAddress.from(text)), ipv6: [] });
}

const toNetwork = (peer: ClientPeer, packet: IpPacket, now = 0) => peer.handleFromClient(packet, OWN, now);
const toClient = (peer: ClientPeer, packet: IpPacket, now = 0) => peer.handleFromNetwork(packet, OWN, now);

Deno.test("ClientPeer passes packets to an authorized network, unchanged", () => {
  const peer = peerWith(cidr("r1", "10.0.0.0/8"));
  const packet = udp(CLIENT.ipv4, SERVER);
  const before = packet.bytes.slice();
  assert.equal(toNetwork(peer, packet), "pass");
  assert.deepEqual(packet.bytes, before);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PUBLIC)), "prohibited");
});

Deno.test("ClientPeer prohibits sources that are not the client's tunnel addresses", () => {
  const peer = peerWith(cidr("r1", "10.0.0.0/8"), INTERNET);
  assert.equal(toNetwork(peer, udp(IpAddress.from("100.64.0.9"), SERVER)), "prohibited");
  assert.equal(toNetwork(peer, udp(IpAddress.from("192.168.1.1"), PUBLIC)), "prohibited");
});

Deno.test("ClientPeer drops multicast and ICMP errors of clients", () => {
  const peer = peerWith(INTERNET);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, IpAddress.from("224.0.0.22"))), "dropped");
  const error = buildUnreachable(udp(SERVER, CLIENT.ipv4), "network");
  assert(error !== undefined);
  assert.equal(toNetwork(peer, load(error)), "dropped");
});

Deno.test("ClientPeer lets clients reach the gateway itself, but no other peer", () => {
  const peer = peerWith(cidr("r1", "0.0.0.0/0"));
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, OWN.ipv4)), "pass");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv6, OWN.ipv6)), "pass");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, IpAddress.from("100.64.0.3"))), "prohibited");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv6, IpAddress.from("fd00:2021:1111::3"))), "prohibited");
});

Deno.test("ClientPeer applies filters by destination port going out and by source port coming back", () => {
  const peer = peerWith(cidr("r1", "10.0.0.0/8", TCP_443));
  assert.equal(toNetwork(peer, tcp(CLIENT.ipv4, SERVER, 5000, 443)), "pass");
  assert.equal(toNetwork(peer, tcp(CLIENT.ipv4, SERVER, 5000, 444)), "prohibited");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, SERVER, 5000, 443)), "prohibited");
  assert.equal(toClient(peer, tcp(SERVER, CLIENT.ipv4, 443, 5000)), "pass");
  assert.equal(toClient(peer, tcp(SERVER, CLIENT.ipv4, 444, 5000)), "not-authorized");
  assert.equal(toClient(peer, tcp(PUBLIC, CLIENT.ipv4, 443, 5000)), "not-authorized");
});

Deno.test("ClientPeer needs an unfiltered resource for protocols without ports", () => {
  const gre = () => load(buildPacket({ source: CLIENT.ipv4, destination: SERVER }, 47, new Uint8Array(8)));
  assert.equal(toNetwork(peerWith(cidr("r1", "10.0.0.0/8")), gre()), "pass");
  assert.equal(toNetwork(peerWith(cidr("r1", "10.0.0.0/8", TCP_443)), gre()), "prohibited");
});

Deno.test("ClientPeer keeps special ranges out of the Internet resource", () => {
  const peer = peerWith(INTERNET);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PUBLIC)), "pass");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv6, IpAddress.from("2606:4700::1"))), "pass");
  const special4 = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "127.0.0.1",
    "169.254.1.1",
    "100.127.0.1",
    "240.0.0.1",
    "0.0.0.0",
  ];
  for (const text of special4) {
    assert.equal(toNetwork(peer, udp(CLIENT.ipv4, IpAddress.from(text))), "unreachable", text);
    assert.equal(toClient(peer, udp(IpAddress.from(text), CLIENT.ipv4)), "not-authorized", text);
  }
  for (const text of ["::1", "::ffff:192.0.2.1", "fc00::1", "fd12::1", "fe80::1"]) {
    assert.equal(toNetwork(peer, udp(CLIENT.ipv6, IpAddress.from(text))), "unreachable", text);
  }
  assert.equal(toClient(peer, udp(PUBLIC, CLIENT.ipv4)), "pass");
});

Deno.test("ClientPeer prefers a network resource to the Internet resource, in private ranges too", () => {
  const peer = peerWith(INTERNET, cidr("r1", "10.0.0.0/8"));
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, SERVER)), "pass");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, IpAddress.from("192.168.0.1"))), "unreachable");
});

Deno.test("ClientPeer translates DNS resources both ways", () => {
  const peer = peerWith(dns("r1", "*.example.com", TCP_443));
  assert.equal(toNetwork(peer, tcp(CLIENT.ipv4, PROXIES[0]!)), "unreachable", "nothing mapped yet");
  mapped(peer, "r1", "www.example.com", "10.0.0.7");
  const out = tcp(CLIENT.ipv4, PROXIES[0]!);
  assert.equal(toNetwork(peer, out), "pass");
  assert(out.destination.equals(SERVER));
  const back = tcp(SERVER, CLIENT.ipv4, 443, 5000);
  assert.equal(toClient(peer, back), "pass");
  assert(back.source.equals(PROXIES[0]!));
  assert.equal(toNetwork(peer, tcp(CLIENT.ipv4, PROXIES[0]!, 5000, 80)), "prohibited");
  assert.equal(toClient(peer, tcp(SERVER, CLIENT.ipv4, 443, 5999)), "not-authorized", "no session");
});

Deno.test("ClientPeer answers for proxy addresses of a family that the name lacks", () => {
  const peer = peerWith(dns("r1", "example.com"));
  mapped(peer, "r1", "example.com");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!)), "unreachable");
});

Deno.test("ClientPeer stops both directions of a DNS resource when it is taken back, and resumes when granted again", () => {
  const peer = peerWith(dns("r1", "example.com"));
  mapped(peer, "r1", "example.com", "10.0.0.7");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!)), "pass");
  assert.equal(peer.removeResource("r1"), true);
  assert.equal(peer.removeResource("r1"), false);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!)), "prohibited");
  assert.equal(toClient(peer, udp(SERVER, CLIENT.ipv4, 53, 5000)), "not-authorized");
  peer.authorize(dns("r1", "example.com"), undefined);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!)), "pass");
});

Deno.test("ClientPeer does not let a changed pattern keep old names", () => {
  const peer = peerWith(dns("r1", "example.com"));
  mapped(peer, "r1", "example.com", "10.0.0.7");
  peer.authorize(dns("r1", "example.org"), undefined);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!)), "prohibited");
});

Deno.test("ClientPeer lets any of several resources of one name permit a packet", () => {
  const peer = peerWith(dns("r1", "example.com", TCP_443), dns("r2", "*.com", { protocol: "icmp" }));
  mapped(peer, "r1", "example.com", "10.0.0.7");
  const ping = () =>
    load(
      buildEcho({
        source: CLIENT.ipv4,
        destination: PROXIES[0]!,
        kind: "request",
        identifier: 1,
        sequence: 1,
        payload: new Uint8Array(0),
      }),
    );
  assert.equal(toNetwork(peer, ping()), "prohibited");
  mapped(peer, "r2", "example.com", "10.0.0.7");
  assert.equal(toNetwork(peer, ping()), "pass");
});

Deno.test("ClientPeer.checkDomain names why a name is refused", () => {
  const peer = peerWith(dns("r1", "*.example.com"), cidr("r2", "10.0.0.0/8"));
  assert.equal(peer.checkDomain("r1", "a.example.com"), "allowed");
  assert.equal(peer.checkDomain("r1", "example.org"), "no-match");
  assert.equal(peer.checkDomain("r2", "a.example.com"), "not-dns");
  assert.equal(peer.checkDomain("r3", "a.example.com"), "unknown-resource");
});

Deno.test("ClientPeer passes ICMP errors of the network, translated where they concern NAT", () => {
  const peer = peerWith(dns("r1", "example.com"));
  mapped(peer, "r1", "example.com", "10.0.0.7");
  const out = udp(CLIENT.ipv4, PROXIES[0]!);
  toNetwork(peer, out);
  const answer = buildUnreachable(out, "network");
  assert(answer !== undefined);
  const error = load(answer);
  assert.equal(toClient(peer, error), "pass");
  assert(error.source.equals(PROXIES[0]!));
});

Deno.test("ClientPeer passes what comes from the gateway itself, nothing from other peers", () => {
  const peer = peerWith(cidr("r1", "0.0.0.0/0"));
  assert.equal(toClient(peer, udp(OWN.ipv4, CLIENT.ipv4)), "pass");
  assert.equal(toClient(peer, udp(IpAddress.from("100.64.0.3"), CLIENT.ipv4)), "not-authorized");
});

Deno.test("ClientPeer drops late packets of an ended session", () => {
  const peer = peerWith(dns("r1", "example.com"), cidr("r2", "10.0.0.0/8"));
  mapped(peer, "r1", "example.com", "10.0.0.7");
  toNetwork(peer, udp(CLIENT.ipv4, PROXIES[0]!));
  assert.equal(toClient(peer, udp(SERVER, CLIENT.ipv4, 53, 5000), 60_000), "nat-expired");
});

Deno.test("ClientPeer ends authorizations when they expire", () => {
  const peer = new ClientPeer("c1", CLIENT);
  peer.authorize(cidr("r1", "10.0.0.0/8"), 5000);
  peer.authorize(cidr("r2", "203.0.113.0/24"), 9000);
  assert.equal(peer.pollTimeout()?.at, 5000);
  assert.deepEqual(peer.handleTimeout(4999), []);
  assert.deepEqual(peer.handleTimeout(5000), ["r1"]);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, SERVER)), "prohibited");
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, PUBLIC)), "pass");
  peer.setExpiry("r2", 20_000);
  assert.deepEqual(peer.handleTimeout(9000), []);
  assert.equal(peer.isEmpty, false);
  assert.deepEqual(peer.handleTimeout(20_000), ["r2"]);
  assert.equal(peer.isEmpty, true);
});

Deno.test("ClientPeer changes filters in place", () => {
  const peer = peerWith(cidr("r1", "10.0.0.0/8"));
  assert.equal(peer.setFilters("r1", new FilterSet([TCP_443])), true);
  assert.equal(toNetwork(peer, udp(CLIENT.ipv4, SERVER)), "prohibited");
  assert.equal(toNetwork(peer, tcp(CLIENT.ipv4, SERVER)), "pass");
  assert.equal(peer.setFilters("r9", new FilterSet([])), false);
});

Deno.test("ClientPeer judges any packet without failing, and passes none whose source is not the client", () => {
  const peer = peerWith(dns("r1", "example.com"), cidr("r2", "10.0.0.0/8"), INTERNET);
  mapped(peer, "r1", "example.com", "10.0.0.7");
  fc.assert(fc.property(packetBytes, (bytes) => {
    const packet = load(bytes);
    const isClient = packet.sourceKey === CLIENT.ipv4.key || packet.sourceKey === CLIENT.ipv6.key;
    assert(isClient || toNetwork(peer, packet) !== "pass");
    toClient(peer, packet);
  }));
});
