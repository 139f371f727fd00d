/**
 * The resources that policy lets this client see, filed for the router: names under their patterns, networks in a route
 * table, pool members by address. Those that the user disabled are known but not filed: nothing leads to them. Tells
 * what a change means: cosmetic, or "forget what was authorized".
 */

import { type AddressKey, IpAddress, IpNetwork } from "../base/ip.ts";
import { Pattern } from "../dns/pattern.ts";
import type { StubResolver } from "../dns/stub_resolver.ts";
import {
  type CidrResource,
  type DnsResource,
  type InternetResource,
  type Resource,
  resourceFromClientView,
} from "../resource/resource.ts";
import { RouteTable } from "../resource/route_table.ts";
import type { ClientResource } from "../wire/portal/client.ts";

/** What became of resources: ids whose authorizations must be forgotten, and whether anything changed at all. */
export interface ResourceChange {
  readonly revoked: readonly string[];
  readonly changed: boolean;
}

/** All resources by id. */
export class Resources {
  readonly #stub: StubResolver;
  readonly #byId = new Map<string, Resource>();
  /** Networks of CIDR resources. */
  readonly networks = new RouteTable<CidrResource>();
  readonly #poolMembers = new Map<AddressKey, string>();
  readonly #warnings = new Map<string, string>();
  #internet: InternetResource | undefined;
  /** Ids that the user disabled, whether or not there are such resources now. */
  #disabled: ReadonlySet<string> = new Set();

  constructor(stub: StubResolver) {
    this.#stub = stub;
  }

  /** Why resources cannot be used, by id: patterns that are none. */
  get warnings(): ReadonlyMap<string, string> {
    return this.#warnings;
  }

  /** The Internet resource, if there is one that is enabled. */
  get internet(): InternetResource | undefined {
    return this.#internet;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Resource | undefined {
    return this.#byId.get(id);
  }

  /** Returns the resource unless it is unknown or disabled. */
  getEnabled(id: string): Resource | undefined {
    return this.#disabled.has(id) ? undefined : this.#byId.get(id);
  }

  isDisabled(id: string): boolean {
    return this.#disabled.has(id);
  }

  values(): Iterable<Resource> {
    return this.#byId.values();
  }

  /** Returns the disabled resources that would lead to `target`, a name or an address. */
  disabledFor(target: string | IpAddress): Resource[] {
    return [...this.#disabled].flatMap((id) => {
      const resource = this.#byId.get(id);
      return resource !== undefined && covers(resource, target) ? [resource] : [];
    });
  }

  /** Disables the resources with these ids, also those that come later, and enables all others. */
  setDisabled(ids: Iterable<string>): ResourceChange {
    const before = this.#disabled;
    const after = new Set([...ids].slice(0, MAX_DISABLED));
    this.#disabled = after;
    const known = (id: string) => this.#byId.has(id);
    const revoked = [...after].filter((id) => !before.has(id) && known(id));
    const enabled = [...before].filter((id) => !after.has(id) && known(id));
    for (const id of revoked) this.#unfile(this.#byId.get(id)!);
    for (const id of enabled) this.#file(this.#byId.get(id)!);
    return { revoked, changed: revoked.length + enabled.length > 0 };
  }

  /** Returns the DNS resources whose pattern matches `name`, the most specific first, then the greater id. */
  matching(name: string): DnsResource[] {
    const found: DnsResource[] = [];
    for (const { value } of this.#stub.match(name)) {
      const resource = this.#byId.get(value.id);
      if (resource?.type === "dns") found.push(resource);
    }
    return found;
  }

  /** Whether one that is enabled is known by names of one label. */
  get hasOneLabelNames(): boolean {
    return this.#stub.hasOneLabelNames;
  }

  /** Returns the id of the pool that the device at the address with this key is a member of, or undefined. */
  poolOf(key: AddressKey): string | undefined {
    return this.#poolMembers.get(key);
  }

  /** Makes `views` all there is. */
  replaceAll(views: readonly ClientResource[]): ResourceChange {
    const kept = new Set(views.map(({ id }) => id));
    const revoked: string[] = [];
    let changed = false;
    for (const id of [...this.#byId.keys()]) {
      if (kept.has(id)) continue;
      this.#remove(id);
      revoked.push(id);
      changed = true;
    }
    for (const view of views) {
      const change = this.upsert(view);
      revoked.push(...change.revoked);
      changed ||= change.changed;
    }
    return { revoked, changed };
  }

  /** Adds or changes one resource. */
  upsert(view: ClientResource): ResourceChange {
    const resource = resourceFromClientView(view);
    const before = this.#byId.get(resource.id);
    if (before !== undefined && describe(before) === describe(resource)) {
      return { revoked: [], changed: false };
    }
    const revoked = before !== undefined && access(before) !== access(resource) ? [resource.id] : [];
    this.#remove(resource.id);
    this.#add(resource);
    return { revoked, changed: true };
  }

  /** Removes one resource. */
  delete(id: string): ResourceChange {
    if (!this.#byId.has(id)) return { revoked: [], changed: false };
    this.#remove(id);
    return { revoked: [id], changed: true };
  }

  #add(resource: Resource): void {
    this.#byId.set(resource.id, resource);
    if (!this.#disabled.has(resource.id)) this.#file(resource);
  }

  #file(resource: Resource): void {
    switch (resource.type) {
      case "dns":
      case "dynamic-device-pool": {
        const pattern = Pattern.parse(resource.pattern);
        if (pattern === undefined) {
          this.#warnings.set(resource.id, `"${resource.pattern}" is not a pattern of names`);
          return;
        }
        const isDns = resource.type === "dns";
        this.#stub.set({
          id: resource.id,
          type: isDns ? "dns" : "dynamic-pool",
          ipStack: isDns ? resource.ipStack : "dual",
        }, pattern);
        return;
      }
      case "cidr":
        this.networks.set({
          network: resource.network,
          id: resource.id,
          filters: resource.filters,
          value: resource,
        });
        return;
      case "internet":
        this.#internet = resource;
        return;
      case "static-device-pool":
        for (const { ipv4, ipv6 } of resource.devices) {
          this.#poolMembers.set(ipv4.key, resource.id);
          this.#poolMembers.set(ipv6.key, resource.id);
        }
    }
  }

  #remove(id: string): void {
    const resource = this.#byId.get(id);
    if (resource === undefined) return;
    this.#byId.delete(id);
    this.#unfile(resource);
  }

  #unfile(resource: Resource): void {
    const { id } = resource;
    this.#warnings.delete(id);
    switch (resource.type) {
      case "dns":
      case "dynamic-device-pool":
        this.#stub.delete(id);
        return;
      case "cidr":
        this.networks.delete(resource.network, id);
        return;
      case "internet":
        if (this.#internet?.id === id) this.#internet = undefined;
        return;
      case "static-device-pool":
        for (const [key, poolId] of this.#poolMembers) {
          if (poolId === id) this.#poolMembers.delete(key);
        }
    }
  }
}

/** Returns the networks of everything, for the Internet resource. */
export const EVERYWHERE: readonly IpNetwork[] = [IpNetwork.from("0.0.0.0/0"), IpNetwork.from("::/0")];

const MAX_DISABLED = 10_000;

function covers(resource: Resource, target: string | IpAddress): boolean {
  switch (resource.type) {
    case "dns":
    case "dynamic-device-pool":
      return typeof target === "string" && Pattern.parse(resource.pattern)?.matches(target) === true;
    case "cidr":
      return target instanceof IpAddress && resource.network.contains(target);
    case "static-device-pool":
      return target instanceof IpAddress &&
        resource.devices.some(({ ipv4, ipv6 }) => ipv4.equals(target) || ipv6.equals(target));
    case "internet":
      return false;
  }
}

/** Equal texts mean that an authorization for the one holds for the other. */
function access(resource: Resource): string {
  const sites = resource.sites.map(({ id }) => id).sort();
  const { filters } = resource.filters;
  switch (resource.type) {
    case "dns":
      return JSON.stringify([resource.type, resource.pattern, resource.ipStack, sites, filters]);
    case "dynamic-device-pool":
      return JSON.stringify([resource.type, resource.pattern, filters]);
    case "cidr":
      return JSON.stringify([resource.type, resource.network, sites, filters]);
    case "internet":
      return JSON.stringify([resource.type, sites]);
    case "static-device-pool":
      return JSON.stringify([resource.type, filters]);
  }
}

/** Equal texts mean that nothing changed. */
function describe(resource: Resource): string {
  const { name, addressDescription, sites } = resource;
  const devices = resource.type === "static-device-pool" ? resource.devices : [];
  return JSON.stringify([access(resource), name, addressDescription, sites, devices]);
}
