/**
 * What the tunnel changes in the machine's network: addresses of the device, routes, rules. Changes are made one
 * after the other; what is already as wanted is not touched, what somebody else took away is put back.
 */

import type { Family, IpAddress, IpNetwork } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { Turns } from "../../lib/base/turns.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import { checksPortRules, hasPortRules } from "../../lib/host/port_rules.ts";
import { planRoutes, planRules, PROTOCOL, type RouteWishes, Table } from "../../lib/host/route_plan.ts";
import { routeKey, type RouteStep, routeSteps, ruleKey } from "../../lib/host/route_steps.ts";
import { Errno } from "../errno.ts";
import type { HostNetwork, HostNetworkOptions, TunnelAddresses } from "../platform.ts";
import { configureDevice } from "./addresses.ts";
import { readListeners } from "./listeners.ts";
import { type Edit, type NetlinkError, NetlinkRoute } from "./netlink/mod.ts";
import { findRivals } from "./rivals.ts";
import { isReversePathStrict } from "./reverse_path.ts";
import {
  type OwnState,
  readOwnRules,
  readOwnState,
  type RouteKernel,
  routeText,
  ruleText,
  toRouteSpec,
  toRuleSpec,
} from "./rules.ts";

/** Returns the host's network with nothing changed yet. `open` is for tests. */
export function createHostNetwork(
  options: HostNetworkOptions,
  open: () => RouteKernel = () => NetlinkRoute.open(),
): HostNetwork {
  return new LinuxNetwork(options, open);
}

/** RFC 8200 §5: the kernel takes IPv6 away from a device that carries less. */
const IPV6_MIN_MTU = 1280;

class LinuxNetwork implements HostNetwork {
  readonly #options: HostNetworkOptions;
  readonly #open: () => RouteKernel;
  readonly #journal: Journal;
  readonly #log: Log;
  readonly #told = new Set<string>();
  readonly #turns = new Turns();
  #wishes: RouteWishes;
  #isStrict = false;
  #isNoted = false;
  #degraded: readonly string[] = [];
  /** What was last made of the rules, to tell whether there is anything to do. */
  #appliedRules = "";

  constructor(options: HostNetworkOptions, open: () => RouteKernel) {
    const { mark, routing, excluded = [], lan = "allow", journal = NO_JOURNAL, log } = options;
    this.#options = options;
    this.#open = open;
    this.#journal = journal;
    this.#log = log;
    this.#wishes = {
      ruleFamilies: routing === "policy" ? [4, 6] : [],
      mark,
      device: 0,
      families: [],
      routes: [],
      excluded,
      lan,
      bypass: [],
      localPorts: [],
      servedPorts: [],
      lateLocal: [],
    };
  }

  get degraded(): readonly string[] {
    return this.#degraded;
  }

  configure(addresses: TunnelAddresses): Promise<void> {
    return this.#turns.take(async () => {
      const { device, mtu } = this.#options;
      const ipv6 = mtu < IPV6_MIN_MTU ? undefined : addresses.ipv6;
      const families = await configureDevice(device, mtu, { ...addresses, ipv6 }, this.#log);
      this.#wishes = { ...this.#wishes, families };
      this.#applyAll();
    });
  }

  setRoutes(routes: readonly IpNetwork[]): Promise<void> {
    return this.#turns.take(() => {
      this.#wishes = { ...this.#wishes, routes };
      this.#applyAll();
    });
  }

  setBypass(bypass: readonly IpAddress[]): Promise<void> {
    return this.#turns.take(() => {
      if (this.#options.routing === "main") return;
      this.#wishes = { ...this.#wishes, bypass };
      this.#applyRules();
    });
  }

  setLocalPorts(localPorts: readonly number[]): Promise<void> {
    return this.#turns.take(() => {
      this.#wishes = { ...this.#wishes, localPorts };
      // Every question to a resolver comes by here.
      if (this.#isStrict && this.#wishes.ruleFamilies.includes(4)) this.#applyRules();
    });
  }

  setExcluded(excluded: readonly IpNetwork[]): Promise<void> {
    return this.#turns.take(() => {
      this.#wishes = { ...this.#wishes, excluded };
      this.#applyRules();
    });
  }

  setLan(lan: "allow" | "deny"): Promise<void> {
    return this.#turns.take(() => {
      this.#wishes = { ...this.#wishes, lan };
      this.#lookForServers();
      this.#applyRules();
    });
  }

  followServers(): Promise<void> {
    return this.#turns.take(() => {
      const { families, ruleFamilies } = this.#wishes;
      if (families.length === 0 || families.some((family) => !ruleFamilies.includes(family))) return;
      this.#lookForServers();
      this.#applyRules();
    });
  }

  handleNetworkChanged(): Promise<void> {
    return this.#turns.take(() => {
      if (this.#wishes.families.length > 0) this.#applyAll();
    });
  }

  otherDevice(): Promise<string | undefined> {
    return this.#turns.take(() => {
      if (this.#options.routing === "main") return undefined;
      return this.#withKernel((kernel) => {
        const other = this.#otherIndex(kernel);
        return other === undefined ? undefined : kernel.links().find(({ index }) => index === other)?.name;
      });
    });
  }

  present(): Promise<string[]> {
    return this.#turns.take(() => {
      if (this.#options.routing === "main") return [];
      return this.#withKernel((kernel) => describe(readOwnState(kernel)));
    });
  }

  undo(): Promise<string[]> {
    return this.#turns.take(() => {
      this.#wishes = { ...this.#wishes, families: [], routes: [] };
      this.#degraded = [];
      this.#appliedRules = "";
      try {
        const { undone, isAll } = this.#withKernel((kernel) => this.#removeAll(kernel));
        if (isAll) this.#journal.forget("network");
        this.#isNoted = !isAll;
        return undone;
      } catch (error) {
        this.#log.warn("cannot undo all changes of routes", { error });
        return [];
      }
    });
  }

  /** Returns the interface index of another client that runs, if there is one. */
  #otherIndex(kernel: RouteKernel): number | undefined {
    const own = kernel.link(this.#options.device)?.index;
    const leading = [Table.resources, Table.internet].flatMap((table) => kernel.routes({ table }));
    return leading.find(({ index }) => index !== undefined && index !== own)?.index;
  }

  /** Brings rules and routes in line with the wishes. Throws a Fault if the kernel cannot be asked. */
  #applyAll(): void {
    this.#isStrict = isReversePathStrict(this.#options.device);
    this.#withKernel((kernel) => {
      const device = kernel.link(this.#options.device)?.index ?? 0;
      this.#wishes = { ...this.#wishes, device };
      this.#lookForServers();
      while (!this.#change(kernel, readOwnState(kernel, this.#mainDevice()), "all"));
      this.#judge(kernel);
    });
  }

  /** Does the same where no route depends on what has changed. */
  #applyRules(): void {
    const { families, ruleFamilies } = this.#wishes;
    if (families.some((family) => !ruleFamilies.includes(family))) return this.#applyAll();
    if (rulesText(this.#effective()) === this.#appliedRules) return;
    let isDone = true;
    this.#withKernel((kernel) => {
      isDone = this.#change(kernel, readOwnRules(kernel), "rules");
      if (isDone) this.#judge(kernel);
    });
    if (!isDone) this.#applyAll();
  }

  /** Only full tunnel keeps answers of this machine's servers from those who asked. */
  #lookForServers(): void {
    const { routes, lan } = this.#wishes;
    const isNeeded = lan === "allow" && routes.some(({ prefix }) => prefix === 0) &&
      hasPortRules(Deno.osRelease());
    this.#wishes = { ...this.#wishes, servedPorts: isNeeded ? readListeners() : [] };
  }

  /** Returns false if the kernel turns out to lack something, so that another plan is needed. */
  #change(kernel: RouteKernel, present: OwnState, scope: "all" | "rules"): boolean {
    const { lateLocal } = present;
    this.#wishes = { ...this.#wishes, lateLocal };
    const wishes = this.#effective();
    const goal = scope === "all" ? planRoutes(wishes) : { rules: planRules(wishes), routes: [] };
    const steps = routeSteps(present.plan, goal);
    if (steps.length > 0) this.#note();
    const refusals = kernel.apply(steps.map((step) => toEdit(step, present)));
    const failures: string[] = [];
    const without = new Set<Family>();
    steps.forEach((step, index) => {
      const refusal = refusals[index];
      if (refusal === undefined || isAsWanted(step, refusal)) return;
      if (step.type === "add-rule" && NOT_SUPPORTED.includes(refusal.errno)) without.add(step.rule.family);
      else failures.push(`${describeStep(step)}: ${refusal.text}`);
    });
    this.#report(failures);
    this.#appliedRules = rulesText(wishes);
    if (without.size === 0) return true;
    const ruleFamilies = this.#wishes.ruleFamilies.filter((family) => !without.has(family));
    this.#wishes = { ...this.#wishes, ruleFamilies };
    return false;
  }

  #removeAll(kernel: RouteKernel): { readonly undone: string[]; readonly isAll: boolean } {
    const device = kernel.link(this.#options.device)?.index;
    const isMain = this.#wishes.ruleFamilies.length < 2;
    if (this.#options.routing === "main" && device === undefined) return { undone: [], isAll: true };
    const state = readOwnState(kernel, isMain ? device : undefined);
    const plan = this.#options.routing === "policy"
      ? state.plan
      : { rules: [], routes: state.plan.routes.filter(({ table }) => table === Table.main) };
    const steps = routeSteps(plan, { rules: [], routes: [] });
    let edits = steps.map((step) => toEdit(step, state));
    if (this.#options.routing === "policy") {
      edits.push(...state.strayRules.map((rule) => ({ type: "remove-rule", rule } as const)));
      edits.push(...state.strayRoutes.map((route) => ({ type: "remove-route", route } as const)));
      // Upstream's, started later: what is in our tables without our number may be what it works with.
      if (this.#otherIndex(kernel) !== undefined) edits = edits.filter(isOurs);
    }
    const refusals = kernel.apply(edits);
    const failures = edits.flatMap((edit, index) => {
      const refusal = refusals[index];
      return refusal === undefined || ABSENT.includes(refusal.errno)
        ? []
        : [`${describeEdit(edit)}: ${refusal.text}`];
    });
    this.#report(failures);
    const undone = edits.filter((_, index) => refusals[index] === undefined).map(describeEdit);
    return { undone, isAll: failures.length === 0 };
  }

  /** The wishes as far as this machine needs and can do them. */
  #effective(): RouteWishes {
    const needsPorts = this.#isStrict && hasPortRules(Deno.osRelease());
    return needsPorts ? this.#wishes : { ...this.#wishes, localPorts: [] };
  }

  /** The main table is looked at only where routes of ours may be in it. */
  #mainDevice(): number | undefined {
    return this.#wishes.ruleFamilies.length < 2 ? this.#wishes.device : undefined;
  }

  #note(): void {
    if (this.#isNoted) return;
    this.#journal.note({ id: "network", type: "network", device: this.#options.device });
    this.#isNoted = true;
  }

  /** Finds what this machine cannot do, and tells it once. */
  #judge(kernel: RouteKernel): void {
    const { families, ruleFamilies } = this.#wishes;
    const { mtu, routing } = this.#options;
    const found: string[] = [];
    if (routing === "policy" && families.length > 0) {
      for (const family of families.filter((each) => !ruleFamilies.includes(each))) {
        found.push(
          `This kernel has no routing rules for IPv${family}: resources have routes in the main table, ` +
            "and the Internet resource is left out",
        );
      }
      if (mtu < IPV6_MIN_MTU) {
        found.push(`Packets of ${mtu} bytes are too small for IPv6: it is left out of the tunnel`);
      } else if (!families.includes(6)) {
        // As net.ipv6.conf.default.disable_ipv6 has it, which holds for devices that are made later.
        const isElsewhere = kernel.routes({ table: Table.main, family: 6 })
          .some(({ destination }) => destination.prefix === 0);
        found.push(
          isElsewhere
            ? `IPv6 is turned off on device "${this.#options.device}" alone: resources are reached by IPv4, and what this ` +
              "machine sends by IPv6 goes past the tunnel, whatever the Internet resource says"
            : "This machine has no IPv6: resources are reached by IPv4 alone",
        );
      } else if (!families.includes(4)) {
        found.push("This machine has no IPv4: resources are reached by IPv6 alone");
      }
      if (this.#isStrict && families.includes(4) && !checksPortRules(Deno.osRelease())) {
        found.push(
          "The reverse path filter is strict and this kernel too old to be told of our sockets: " +
            "the Internet resource may not work",
        );
      }
    }
    found.push(...findRivals(kernel, this.#wishes));
    this.#degraded = found;
    for (const sentence of found) {
      if (this.#told.has(sentence)) continue;
      this.#told.add(sentence);
      this.#log.warn(sentence);
    }
  }

  #report(failures: readonly string[]): void {
    if (failures.length === 0) return;
    this.#log.warn("cannot change all rules and routes", { failures: failures.length });
    // They name networks of the user's resources.
    this.#log.debug("what the kernel said", { failures });
  }

  #withKernel<T>(work: (kernel: RouteKernel) => T): T {
    const kernel = this.#open();
    try {
      return work(kernel);
    } finally {
      kernel.close();
    }
  }
}

function rulesText(wishes: RouteWishes): string {
  return planRules(wishes).map(ruleKey).join("\n");
}

/** What is there is removed as the kernel has it. */
function toEdit(step: RouteStep, present: OwnState): Edit {
  switch (step.type) {
    case "add-rule":
      return { type: step.type, rule: toRuleSpec(step.rule) };
    case "remove-rule":
      return { type: step.type, rule: present.rules.get(ruleKey(step.rule)) ?? toRuleSpec(step.rule) };
    case "add-route":
      // In the main table there may be routes of others: theirs stay.
      return { type: step.type, route: toRouteSpec(step.route), replace: step.route.table !== Table.main };
    case "remove-route":
      return { type: step.type, route: present.routes.get(routeKey(step.route)) ?? toRouteSpec(step.route) };
  }
}

function isOurs(edit: Edit): boolean {
  if (edit.type === "remove-rule") return edit.rule.protocol === PROTOCOL;
  return edit.type === "remove-route" && edit.route.protocol === PROTOCOL;
}

function isAsWanted({ type }: RouteStep, { errno }: NetlinkError): boolean {
  return type === "add-rule" ? errno === Errno.EEXIST : type.startsWith("remove") && ABSENT.includes(errno);
}

function describe({ rules, routes, strayRules, strayRoutes }: OwnState): string[] {
  return [
    ...[...rules.values(), ...strayRules].map((rule) => `rule ${ruleText(rule)}`),
    ...[...routes.values(), ...strayRoutes].map((route) => `route ${routeText(route)}`),
  ];
}

function describeStep(step: RouteStep): string {
  const what = "rule" in step ? ruleText(toRuleSpec(step.rule)) : routeText(toRouteSpec(step.route));
  return `${step.type} ${what}`;
}

function describeEdit(edit: Edit): string {
  if (edit.type === "remove-rule") return `rule ${ruleText(edit.rule)}`;
  return edit.type === "remove-route" ? `route ${routeText(edit.route)}` : edit.type;
}

const ABSENT: readonly number[] = [Errno.ENOENT, Errno.ESRCH, Errno.ENODEV, Errno.EAFNOSUPPORT];
const NOT_SUPPORTED: readonly number[] = [Errno.EOPNOTSUPP, Errno.EAFNOSUPPORT];
