/**
 * What `io/` needs from an operating system. One folder implements it per system; all of it belongs to one thread.
 * Calls on the data path never throw: what fails there is dropped and counted.
 */

import type { Datagram } from "../lib/base/datagram.ts";
import type { IpAddress, IpNetwork, SocketAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import type { Instant } from "../lib/base/time.ts";
import type { DnsChoice, DnsObservation } from "../lib/host/dns_choice.ts";
import type { DnsControl } from "../lib/host/dns_control.ts";
import type { Change, Journal } from "../lib/host/journal.ts";

export type { DnsControl };

/** What roles need of an operating system. */
export interface Platform {
  /** Returns milliseconds since the machine started, time asleep included. */
  now(): Instant;
  /** Creates the TUN device. Throws a Fault ("tun", "privilege"). It has no addresses and is down. */
  openTun(options: TunOptions): Tun;
  /** Throws the Fault that `openTun` would throw for want of a privilege or of the device; changes nothing. */
  checkTun(): void;
  /** Opens a UDP socket. Throws a Fault ("unexpected", "privilege"); undefined where the family does not exist. */
  bindUdp(options: UdpOptions): UdpSocket | undefined;
  createPoller(): Poller;
  createHostNetwork(options: HostNetworkOptions): HostNetwork;
  createSystemDns(options: SystemDnsOptions): SystemDns;
  /** Looks at what manages this machine's DNS, and returns the control that fits it and why. Changes nothing. */
  chooseDns(): Promise<DnsChoice>;
  /** Returns what `chooseDns` judges. */
  observeDns(): Promise<DnsObservation>;
  /**
   * Returns how this machine reaches the Internet without `device`, as a text to compare with an earlier one: empty if it
   * does not, undefined if the system did not tell.
   */
  networkPath(device: string): Promise<string | undefined>;
  /**
   * Calls `onChange` after routes, links, addresses or rules of the machine changed, our own changes included; many
   * changes may be one call. Undefined where the machine cannot tell: then look every now and then.
   */
  watchNetwork(onChange: () => void): NetworkMonitor | undefined;
  /**
   * Undoes one change that a killed process noted. Returns whether there was anything left of it; what was changed by
   * somebody else since then stays. Throws a Fault ("dns", "privilege").
   */
  undoChange(change: Change, log: Log): Promise<boolean>;
  /**
   * Has somebody undo `change` the moment that this process is killed, unless a process has the lock at `lockPath` by
   * then. Undefined for changes that break nothing until the next start, and where there cannot be such a somebody.
   */
  guardChange?(change: Change, lockPath: string, log: Log): Guard | undefined;
}

/** Somebody who waits for the end of this process. */
export interface Guard {
  /** He is not needed any more. */
  end(): void;
}

/** A watch over the machine's network. */
export interface NetworkMonitor {
  /** Without it the process would not exit. */
  close(): void;
}

/** An address of an interface, as `Deno.networkInterfaces` gives it. */
export interface NetworkInterface {
  readonly name: string;
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
  readonly cidr: string;
}

/** Something that `Poller` can wait for. */
export interface Pollable {
  readonly descriptor: number;
}

/** How a TUN device shall be made. */
export interface TunOptions {
  /** For example "fz0"; a name with "%d" lets the kernel number it. */
  readonly name: string;
  /** Largest packet in bytes; larger ones from the kernel are segmented by us. */
  readonly mtu: number;
  /** Each defaults to true and is probed; false leaves it out, for tests. */
  readonly offload?: { readonly virtioHeader?: boolean; readonly tcp?: boolean; readonly udp?: boolean };
}

/** A packet handler; `packet` is valid until it returns. */
export type PacketHandler = (packet: Uint8Array) => void;

/** A TUN device. */
export interface Tun extends Pollable {
  readonly name: string;
  /** What the kernel agreed to. */
  readonly offload: { readonly virtioHeader: boolean; readonly tcp: boolean; readonly udp: boolean };
  readonly stats: TunStats;
  /** Somebody deleted the device; it will never be readable again. */
  readonly isGone: boolean;
  /**
   * Reads once and gives each packet in it to `handler`, all at most as large as the MTU and with finished checksums.
   * Returns false when there was nothing to read. The handler must not call `receive`.
   */
  receive(handler: PacketHandler): boolean;
  /** Queues a packet for the kernel (copied). It leaves with `flush`, or earlier. */
  send(packet: Uint8Array): void;
  flush(): void;
  close(): void;
}

/** What a TUN device has done so far. */
export interface TunStats {
  receivedPackets: number;
  receivedBytes: number;
  sentPackets: number;
  sentBytes: number;
  reads: number;
  writes: number;
  /** Frames that could not be segmented, packets that the kernel refused. */
  dropped: number;
}

/** How a UDP socket shall be bound. */
export interface UdpOptions {
  readonly address: SocketAddress;
  /** Taken instead when the port of `address` is in use: 0 = any free one. Without it that is a Fault. */
  readonly fallbackPort?: number;
  /** SO_MARK, so that policy routing lets the packets pass the tunnel by. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** Bytes; defaults are generous. The kernel may grant less. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
  /** Each defaults to true; false leaves it out. */
  readonly offload?: { readonly segment?: boolean; readonly coalesce?: boolean };
}

/** `local` has the address that the datagram was sent to; `payload` is valid until the handler returns. */
export type DatagramHandler = (local: SocketAddress, remote: SocketAddress, payload: Uint8Array) => void;

/** A UDP socket. */
export interface UdpSocket extends Pollable {
  /** The bound address; the IP is unspecified if the socket listens on all. */
  readonly local: SocketAddress;
  /** The mark was asked for and granted. */
  readonly marked: boolean;
  readonly stats: UdpStats;
  /** Receives once (up to 64 datagrams of one sender). Returns false when dry. The handler must not call `receive`. */
  receive(handler: DatagramHandler): boolean;
  /**
   * Queues a datagram (copied), sent from the address `datagram.local` if that has one. Equal-sized neighbours to one
   * remote leave in one system call. It leaves with `flush`, or earlier.
   */
  send(datagram: Datagram): void;
  flush(): void;
  close(): void;
}

/** What a UDP socket has done so far. */
export interface UdpStats {
  receivedDatagrams: number;
  receivedBytes: number;
  sentDatagrams: number;
  sentBytes: number;
  /** Failed sends by their error, for example "ENETUNREACH". */
  readonly sendErrors: Map<string, number>;
  /** Datagrams that the kernel cut off, or that came without a sender. */
  dropped: number;
}

/** Waits for many sources at once. Sources may be added and removed while `wait` is pending. */
export interface Poller {
  add(source: Pollable): void;
  /** To be called before the source is closed. */
  remove(source: Pollable): void;
  /**
   * Resolves with the readable sources; empty after `timeoutMs` (undefined = no limit) or `wake`. Level-triggered. The
   * array is reused by the next call. One call at a time.
   */
  wait(timeoutMs: number | undefined): Promise<readonly Pollable[]>;
  /**
   * Does the same without giving the event loop a turn: cheaper and faster under load, but nothing else runs meanwhile.
   * Not while a `wait` is pending.
   */
  poll(timeoutMs: number): readonly Pollable[];
  /** Ends a pending `wait`, or the next one, at once. */
  wake(): void;
  /** Ends a pending `wait` for good; without it the process would not exit. */
  close(): Promise<void>;
}

/** Which device the host's network is changed for, and how. */
export interface HostNetworkOptions {
  /** The TUN device. May be missing where only `undo` is called. */
  readonly device: string;
  readonly mtu: number;
  /** Packets with this mark pass the tunnel by. */
  readonly mark: number;
  /** "policy": own tables behind marked rules (clients). "main": routes in the main table (gateways). */
  readonly routing: "policy" | "main";
  /** Networks that always pass the tunnel by, resources in them too. */
  readonly excluded?: readonly IpNetwork[];
  /**
   * What becomes of networks that the machine has routes of its own to while everything else goes into the tunnel;
   * default "allow": they are reached as before.
   */
  readonly lan?: "allow" | "deny";
  /** Default: nothing is noted. */
  readonly journal?: Journal;
  readonly log: Log;
}

/** Our addresses in the tunnel. */
export interface TunnelAddresses {
  readonly ipv4: IpAddress | undefined;
  readonly ipv6: IpAddress | undefined;
}

/** Addresses and routes of the TUN device. Everything it changes on the machine is undone by `undo`. */
export interface HostNetwork {
  /** What this machine cannot do, and what that means: sentences for a person. Empty where all is well. */
  readonly degraded: readonly string[];
  /**
   * Sets the addresses (/32, /128) and brings the device up. A family that the machine lacks is left out. Throws a
   * Fault ("privilege", "tun") if none is left.
   */
  configure(addresses: TunnelAddresses): Promise<void>;
  /** Makes exactly `routes` lead into the tunnel. What the kernel refuses is logged. */
  setRoutes(routes: readonly IpNetwork[]): Promise<void>;
  /**
   * Makes exactly `destinations` pass the tunnel by, for sockets of ours that cannot be marked. May be called before
   * `configure`. With "main" routing it does nothing.
   */
  setBypass(destinations: readonly IpAddress[]): Promise<void>;
  /**
   * Makes exactly the UDP sockets of ours that listen on `ports` pass the tunnel by, both ways: answers to them are not
   * taken for spoofed where the kernel's reverse path filter is strict.
   */
  setLocalPorts(ports: readonly number[]): Promise<void>;
  /** Makes exactly `networks` pass the tunnel by, resources in them too. */
  setExcluded(networks: readonly IpNetwork[]): Promise<void>;
  /** Says what becomes of networks that the machine has routes of its own to; see `HostNetworkOptions.lan`. */
  setLan(lan: "allow" | "deny"): Promise<void>;
  /**
   * Looks which TCP ports programs of this machine listen on, so that their answers go back the way the question came while
   * everything else goes into the tunnel. Missing where nothing needs to be done for that.
   */
  followServers?(): Promise<void>;
  /** Follows the machine's network: what was there before is gone, or leads elsewhere. */
  handleNetworkChanged(): Promise<void>;
  /**
   * Returns another device that our tables lead into: a client that runs, ours or upstream's, for routes vanish with
   * their device. Undefined with "main" routing.
   */
  otherDevice(): Promise<string | undefined>;
  /** Returns the rules and routes that `undo` would take back with "policy" routing: those of any process of ours. */
  present(): Promise<string[]>;
  /** Takes back all rules and routes, also those of a killed process. Never throws; returns what it removed. */
  undo(): Promise<string[]>;
}

/** By which method the system's DNS is changed, and for which device. */
export interface SystemDnsOptions {
  readonly control: DnsControl;
  readonly device: string;
  /** Recognises resolvers that are ours: never reported as upstreams. */
  readonly isSentinel: (address: IpAddress) => boolean;
  /** Default: nothing is noted. */
  readonly journal?: Journal;
  readonly log: Log;
  /** For tests; default "/etc/resolv.conf" and "<it>.before-fz". */
  readonly resolvConfPath?: string;
  readonly backupPath?: string;
}

/** A resolver of the machine. */
export interface Resolver {
  readonly address: IpAddress;
  /** Which interface a link-local address is on: its index. */
  readonly scopeId?: number;
}

/** The resolvers of the machine. */
export interface SystemDns {
  readonly control: DnsControl;
  /** Whether `set` heeds `oneLabelDomain`. Default false: another one changes nothing. */
  readonly usesOneLabelDomain?: boolean;
  /** Throws the Fault that `set` would throw, as far as it can be foreseen; changes nothing. */
  check(): Promise<void>;
  /** Returns the machine's own upstream resolvers, in order, without ours. As last read, or empty, where they cannot be read. */
  upstreams(): Promise<Resolver[]>;
  /**
   * Makes the machine ask `sentinels`. An empty list undoes. `oneLabelDomain` is searched, too, where the machine asks nobody
   * for a name of one label that no search domain makes longer. Throws a Fault ("dns", "privilege").
   */
  set(
    sentinels: readonly IpAddress[],
    searchDomain: string | undefined,
    oneLabelDomain?: string,
  ): Promise<void>;
  /** Forgets cached answers. */
  flush(): Promise<void>;
  /** Returns false if somebody has overwritten what `set` did; `set` again repairs it. */
  isInForce(): Promise<boolean>;
  /**
   * Calls `onChange` after what `upstreams` and `isInForce` tell may have changed, our own changes included; many changes
   * may be one call. Missing where that cannot be noticed: then look every now and then.
   */
  watch?(onChange: () => void): { close(): void };
  /**
   * Has new questions go where they went before `set`, while what is under way still finds our resolvers; `undo` follows.
   * Returns whether it could be done; never throws. Missing where `undo` does nothing to what is under way.
   */
  release?(): Promise<boolean>;
  /**
   * Puts things back as they were, also after a killed process; returns whether there was anything. Throws a Fault
   * ("dns", "privilege").
   */
  undo(): Promise<boolean>;
}
