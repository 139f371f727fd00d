/**
 * What a client needs of the machine, and changes in it: TUN device, addresses, routes, rules, DNS. Changes are made
 * one after the other; leftovers of a killed process go first; `undo` takes everything back, DNS before anything else,
 * so that nobody asks resolvers that no longer answer.
 */

import type { DnsControl, HostNetwork, Platform, SystemDns, Tun } from "../ffi/platform.ts";
import { Fault } from "../lib/base/fault.ts";
import { type IpNetwork, SocketAddress } from "../lib/base/ip.ts";
import type { Log } from "../lib/base/log.ts";
import type { InterfaceConfig } from "../lib/client/event.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { isSentinelAddress } from "../lib/dns/sentinels.ts";
import type { DnsChoice } from "../lib/host/dns_choice.ts";
import { MAX_PACKET_LENGTH } from "../lib/wire/ip.ts";
import { Bypass } from "./bypass.ts";
import type { HostFacts, Routing } from "./client_facts.ts";
import { type DnsStateEvent, DnsUpkeep } from "./dns_upkeep.ts";
import { guarded } from "./guardian.ts";
import { type HeldJournal, openJournal } from "./journal.ts";
import { undoLeftovers } from "./leftovers.ts";
import { LocalPorts } from "./local_ports.ts";
import { pathContext } from "./path_context.ts";
import { resolverAddresses, resolverNames } from "./resolvers.ts";
import { describeTunHolder, findTunHolder, otherClientFault } from "./tun_holder.ts";
import { within } from "./within.ts";

/** What a client takes from its machine. */
export interface ClientHostOptions {
  readonly platform: Platform;
  readonly tunName: string;
  readonly dns: DnsChoice;
  /** Carried by packets that pass the tunnel by. */
  readonly mark: number;
  /** Largest packet in the tunnel, in bytes; the protocol's where undefined. */
  readonly mtu?: number | undefined;
  readonly excluded?: readonly IpNetwork[];
  /** Default "allow". */
  readonly lan?: "allow" | "deny";
  readonly log: Log;
  /** Default: that of this user. */
  readonly journal?: HeldJournal;
}

interface HostParts {
  readonly tun: Tun;
  readonly network: HostNetwork;
  readonly dns: SystemDns;
  readonly journal: HeldJournal;
}

/** How long each step of `undo` may take: a service that does not answer must not hold the end up. */
const UNDO_LIMIT_MS = 3000;

export class ClientHost {
  readonly tun: Tun;
  readonly bypass: Bypass;
  readonly localPorts: LocalPorts;
  readonly #mtu: number;
  readonly #network: HostNetwork;
  readonly #dns: SystemDns;
  readonly #upkeep: DnsUpkeep;
  readonly #journal: HeldJournal;
  readonly #log: Log;
  #resolvers: readonly SocketAddress[] = [];
  #isWithoutResolver = false;
  #applied: InterfaceConfig | undefined;
  /** Set, or to be set as soon as that can be done. */
  #dnsWanted: InterfaceConfig["dns"] | undefined;
  /** What that comes to; undefined where it could not be set when it was wanted. */
  #dnsText: string | undefined;
  #routing: Routing;
  #work: Promise<void> = Promise.resolve();
  #isUndone = false;
  #leftBehind: Fault | undefined;

  private constructor(options: ClientHostOptions, { tun, network, dns, journal }: HostParts) {
    this.tun = tun;
    this.#mtu = options.mtu ?? MAX_PACKET_LENGTH;
    this.#network = network;
    this.#dns = dns;
    this.#journal = journal;
    this.#log = options.log;
    this.#routing = { excluded: options.excluded ?? [], lan: options.lan ?? "allow" };
    this.bypass = new Bypass(network);
    const { dns: { reason, evidence }, log } = options;
    this.#upkeep = new DnsUpkeep({ dns, reason, evidence, log });
    this.localPorts = new LocalPorts(network);
  }

  /** Removes leftovers and creates the device. Throws a Fault ("privilege", "tun", "dns") with nothing changed. */
  static async open(options: ClientHostOptions): Promise<ClientHost> {
    const { platform, log } = options;
    const paths = pathsOf(pathContext());
    const held = options.journal ?? openJournal(paths, log);
    const journal = guarded(held, { platform, lockPath: paths.lock, log });
    try {
      return await ClientHost.#open(options, journal);
    } catch (error) {
      journal.close();
      throw error;
    }
  }

  static async #open(options: ClientHostOptions, journal: HeldJournal): Promise<ClientHost> {
    const { platform, tunName, mark, mtu = MAX_PACKET_LENGTH, log } = options;
    const parts = { device: tunName, journal, log } as const;
    const { control, reason } = options.dns;
    const dns = platform.createSystemDns({ ...parts, control, isSentinel: isSentinelAddress });
    platform.checkTun();
    const tun = openTun(platform, tunName, mtu);
    // macOS numbers its devices itself.
    if (tun.name !== tunName && !tunName.includes("%")) {
      log.info("the device has another name", { device: tun.name });
    }
    try {
      const network = platform.createHostNetwork({
        ...parts,
        device: tun.name,
        mtu,
        mark,
        routing: "policy",
        ...(options.excluded === undefined ? {} : { excluded: options.excluded }),
        ...(options.lan === undefined ? {} : { lan: options.lan }),
      });
      const other = await network.otherDevice();
      if (other !== undefined) {
        throw otherClientFault("Cannot start", other);
      }
      await undoLeftovers(platform, { network, dns, journal, log });
      await dns.check();
      if (needsJournal(dns.control)) journal.check();
      const host = new ClientHost(options, { tun, network, dns, journal });
      await host.refreshResolvers();
      if (control === "disabled") log.warn("this machine's DNS is left alone", { reason });
      else log.info("names come to the session", { control, reason });
      return host;
    } catch (error) {
      tun.close();
      throw error;
    }
  }

  /** How names reach the client. */
  get dnsControl(): DnsControl {
    return this.#dns.control;
  }

  /** What there is to tell of the machine. */
  facts(): HostFacts {
    return {
      tunName: this.tun.name,
      mtu: this.#mtu,
      dnsControl: this.dnsControl,
      dns: this.#upkeep.state,
      resolvers: resolverNames(this.#resolvers),
      ...this.#routing,
      bypass: this.bypass.addresses,
      degraded: this.#network.degraded,
    };
  }

  /** The machine's own resolvers, as last read. */
  get resolvers(): readonly SocketAddress[] {
    return this.#resolvers;
  }

  /**
   * Where names go that are no resource's. A machine that names no resolver asks itself (resolv.conf(5)): names of
   * resources must be found there, too.
   */
  get servers(): readonly SocketAddress[] {
    return this.#resolvers.length > 0 ? this.#resolvers : [ITSELF];
  }

  /** Reads the machine's own resolvers; returns whether they changed. */
  async refreshResolvers(): Promise<boolean> {
    const resolvers = resolverAddresses(await this.#dns.upstreams());
    const changed = resolvers.map(String).join() !== this.#resolvers.map(String).join();
    this.#resolvers = resolvers;
    if (changed) this.#log.debug("resolvers of this machine", { resolvers });
    if (resolvers.length === 0 && !this.#isWithoutResolver) {
      this.#log.warn("this machine names no resolver: it is asked itself", { server: ITSELF });
    }
    this.#isWithoutResolver = resolvers.length === 0;
    return changed;
  }

  /** Sets the machine up as `config` says. Throws a Fault if it cannot be done. */
  apply(config: InterfaceConfig): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#applied;
      const { ipv4, ipv6, routes, dns } = config;
      if (before === undefined || !before.ipv4.equals(ipv4) || !before.ipv6.equals(ipv6)) {
        await this.#network.configure({ ipv4, ipv6 });
      }
      await this.bypass.setRoutes(routes);
      await this.#network.setRoutes(routes);
      const dnsText = this.#textOf(dns);
      if (dnsText !== this.#dnsText) {
        this.#dnsWanted = dns;
        this.#dnsText = undefined;
        await this.#dns.set(dns.sentinels, dns.searchDomain, dns.oneLabelDomain);
        this.#dnsText = dnsText;
        this.#upkeep.noteSet();
      }
      this.#applied = config;
    });
  }

  /** Changes what passes the tunnel by. */
  setRouting(change: Partial<Routing>): Promise<void> {
    this.#routing = { ...this.#routing, ...change };
    return this.#inTurn(async () => {
      if (change.excluded !== undefined) await this.#network.setExcluded(change.excluded);
      if (change.lan !== undefined) await this.#network.setLan(change.lan);
    });
  }

  /** Resolves when all that was asked for so far is done, or has failed. Never rejects. */
  settled(): Promise<void> {
    return this.#inTurn(() => Promise.resolve());
  }

  /** Forgets answers that the machine keeps: resources changed. */
  flushDns(): Promise<void> {
    return this.#inTurn(() => this.#dns.flush());
  }

  /** Takes note of a changed network. */
  handleNetworkChanged(): Promise<void> {
    return this.#inTurn(() => this.#network.handleNetworkChanged());
  }

  /** Does what is due every few seconds: sets DNS again if somebody overwrote it, forgets old bypasses. */
  maintain(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#attempt(() => this.bypass.expire());
      await this.#attempt(async () => await this.#network.followServers?.());
      const dns = this.#dnsWanted;
      if (this.#applied === undefined || dns === undefined) return;
      await this.#upkeep.maintain(() => this.#dns.set(dns.sentinels, dns.searchDomain, dns.oneLabelDomain));
    });
  }

  /** Calls `onChange` after the machine's DNS may have changed, where that can be heard of, and tells of repairs. */
  watchDns(onChange: () => void, onEvent: (event: DnsStateEvent) => void): void {
    this.#upkeep.watch(onChange, onEvent);
  }

  /** After `undo`: why the machine goes on asking resolvers that are gone; undefined where it does not. */
  get leftBehind(): Fault | undefined {
    return this.#leftBehind;
  }

  /**
   * Takes back everything but the device: DNS, then, after `lastAnswers`, rules and routes. Where DNS can be given back by
   * halves, `lastAnswers` is waited for between them, too. Never throws, and takes a few seconds at the most; what is not
   * undone by then stays in the journal.
   */
  async undo(lastAnswers: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    if (this.#isUndone) return await this.#work;
    this.#isUndone = true;
    this.#upkeep.close();
    const before = this.#work;
    this.#work = this.#undoInOrder(before, lastAnswers);
    await this.#work;
  }

  async #undoInOrder(before: Promise<void>, lastAnswers: () => Promise<void>): Promise<void> {
    const whatWasAsked = () => this.#applied === undefined ? Promise.resolve() : lastAnswers();
    const left = [
      ...await this.#undoStep("what was being changed", before),
      ...await this.#undoStep("DNS for new questions", this.#release(whatWasAsked)),
      ...await this.#undoStep("DNS", this.#dns.undo(), (cause) => {
        if (needsJournal(this.dnsControl)) this.#leftBehind = deadDnsFault(cause);
      }),
      ...await this.#undoStep("the last questions", whatWasAsked()),
      ...await this.#undoStep("rules and routes", this.#network.undo()),
    ];
    this.#journal.close();
    if (left.length > 0) {
      this.#log.error("not everything was undone on this machine; run `fz cleanup`", {
        left: left.join(", "),
      });
    }
  }

  async #release(whatWasAsked: () => Promise<void>): Promise<void> {
    if (await this.#dns.release?.() === true) await whatWasAsked();
  }

  /** Returns `what` if it was not done in time, or failed; `onFailure` hears why. */
  async #undoStep(
    what: string,
    work: Promise<unknown>,
    onFailure: (error: unknown) => void = () => {},
  ): Promise<string[]> {
    try {
      if (await within(UNDO_LIMIT_MS, work)) return [];
      this.#log.warn("cannot undo in time", { what });
      onFailure(undefined);
    } catch (error) {
      this.#log.error("cannot undo", { what, error });
      onFailure(error);
    }
    return [what];
  }

  /** What is set up alike has the same: setting costs some machines a moment without DNS, or without addresses. */
  #textOf({ sentinels, searchDomain, oneLabelDomain }: InterfaceConfig["dns"]): string {
    const heeded = this.#dns.usesOneLabelDomain ? oneLabelDomain : undefined;
    return `${searchDomain} ${heeded} ${sentinels.join(" ")}`;
  }

  /** DNS is repaired whatever becomes of the rules. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn("cannot follow what passes the tunnel by", { error });
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#isUndone) return Promise.resolve();
    const result = this.#work.then(work);
    this.#work = result.catch(() => {});
    return result;
  }
}

/** Where the C library asks without any other server (resolv.conf(5)). */
const ITSELF = SocketAddress.from("127.0.0.1:53");

/** Whether what is changed is found nowhere but in the journal, and breaks the machine's DNS until it is undone. */
function needsJournal(control: DnsControl): boolean {
  return control === "etc-resolv-conf" || control === "resolvconf";
}

/** `cause`: what failed; undefined if time ran out. */
function deadDnsFault(cause: unknown): Fault {
  const reason = cause instanceof Error ? cause.message : "it takes too long";
  const message = `The session has ended, but this machine's DNS is not as it was: ${reason}`;
  const first = cause instanceof Fault && cause.next !== undefined ? `${cause.next} Then run` : "Run";
  return new Fault("dns", message, { cause, next: `${first} \`fz cleanup\`.` });
}

/** Throws the platform's Fault, and who has the device if that is known. */
function openTun(platform: Platform, name: string, mtu: number): Tun {
  try {
    return platform.openTun({ name, mtu });
  } catch (error) {
    const holder = error instanceof Fault && error.code === "tun" ? findTunHolder(name) : undefined;
    if (holder === undefined || !(error instanceof Fault)) throw error;
    throw new Fault("tun", `${error.message}${describeTunHolder(holder)}`, {
      next: "If it is a session, run `fz down` as its user; else stop the program, or choose another name.",
    });
  }
}
