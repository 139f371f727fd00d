/** What a joined peer is told: everything at the join, and afterwards the difference. portal-protocol §3.3, §4.3, §7.6. */

import type { Instant, WallClock } from "../base/time.ts";
import type { ClientResource } from "../wire/portal/client.ts";
import { connectableResources } from "./access.ts";
import type { Directory } from "./directory.ts";
import { type Grants, requesterOf } from "./grants.ts";
import type { Resource } from "./model.ts";
import { type ClientPeer, type GatewayPeer, type Presence, pushToClient, pushToGateway } from "./peers.ts";
import type { RelayDesk } from "./relay_desk.ts";
import { clientInterface, clientResource, FLOW_LOGS, gatewayResource } from "./views.ts";

export class Updates {
  readonly #directory: Directory;
  readonly #presence: Presence;
  readonly #grants: Grants;
  readonly #relays: RelayDesk;
  readonly #wallClock: WallClock;
  /** Filters that gateways and pool members were last told, by resource. */
  readonly #filters = new Map<string, string>();

  constructor(
    directory: Directory,
    presence: Presence,
    grants: Grants,
    relays: RelayDesk,
    wallClock: WallClock,
  ) {
    this.#directory = directory;
    this.#presence = presence;
    this.#grants = grants;
    this.#relays = relays;
    this.#wallClock = wallClock;
    for (const resource of directory.all("resources")) this.#filters.set(resource.id, filtersKey(resource));
  }

  /** Sends the client its `init`. */
  initClient(client: ClientPeer, now: Instant): void {
    const device = this.#directory.get("devices", client.deviceId);
    const account = this.#directory.get("accounts", client.accountId);
    if (device === undefined || account === undefined) return;
    const resources = this.#resourcesFor(client, now);
    const ownInterface = clientInterface(account, device);
    client.sentInterface = JSON.stringify(ownInterface);
    client.sentResources.clear();
    for (const resource of resources) client.sentResources.set(resource.id, JSON.stringify(resource));
    pushToClient(client, {
      event: "init",
      payload: {
        interface: ownInterface,
        resources,
        relays: this.#relays.assign(client),
        authorizations: this.#grants.liveFor(client.deviceId, now),
        flow_logs: FLOW_LOGS,
        account_slug: account.slug,
        actor_name: this.#directory.get("actors", device.ownerId)?.name ?? "",
      },
    });
  }

  /** Sends the gateway its `init`; what `authorizations` does not list, the gateway revokes. */
  initGateway(gateway: GatewayPeer, now: Instant): void {
    const device = this.#directory.get("devices", gateway.deviceId);
    const account = this.#directory.get("accounts", gateway.accountId);
    if (device === undefined || account === undefined) return;
    const authorizations = this.#grants.liveFor(gateway.deviceId, now);
    gateway.sentSlug = account.slug;
    pushToGateway(gateway, {
      event: "init",
      payload: {
        interface: { ipv4: device.ipv4, ipv6: device.ipv6 },
        account_slug: account.slug,
        config: { ipv4_masquerade_enabled: true, ipv6_masquerade_enabled: true },
        relays: this.#relays.assign(gateway),
        authorizations,
        flow_logs: FLOW_LOGS,
      },
    });
    // Filters may have changed while the gateway was away, and `init` does not carry them.
    for (const id of new Set(authorizations.map((it) => it.resource_id))) {
      const resource = this.#directory.get("resources", id);
      const view = resource === undefined ? undefined : gatewayResource(resource);
      if (view !== undefined) pushToGateway(gateway, { event: "resource_updated", payload: view });
    }
  }

  /** After a change of the directory: rejections first, then removals, then additions. */
  propagate(now: Instant): void {
    const lost = this.#grants.revalidate(now);
    this.#propagateFilters(now);
    for (const gateway of this.#presence.gateways.values()) {
      const slug = this.#directory.get("accounts", gateway.accountId)?.slug;
      if (slug !== undefined && slug !== gateway.sentSlug) this.initGateway(gateway, now);
    }
    for (const client of this.#presence.clients.values()) {
      const toggled = lost.filter(({ clientId }) => clientId === client.deviceId).map((it) => it.resourceId);
      this.refreshClient(client, now, new Set(toggled));
    }
  }

  /**
   * Tells the client what changed since it was last told. `toggled` resources are taken away even if still reachable:
   * their authorization is gone, and this makes the client ask again.
   */
  refreshClient(client: ClientPeer, now: Instant, toggled: ReadonlySet<string> = new Set()): void {
    const device = this.#directory.get("devices", client.deviceId);
    const account = this.#directory.get("accounts", client.accountId);
    if (device === undefined || account === undefined) return;
    const ownInterface = clientInterface(account, device);
    if (JSON.stringify(ownInterface) !== client.sentInterface) {
      client.sentInterface = JSON.stringify(ownInterface);
      pushToClient(client, { event: "config_changed", payload: { interface: ownInterface } });
    }
    const current = new Map(this.#resourcesFor(client, now).map((it) => [it.id, it]));
    for (const [id, before] of [...client.sentResources]) {
      const after = current.get(id);
      if (after !== undefined && !toggled.has(id) && !mustReplace(client, before, after)) continue;
      client.sentResources.delete(id);
      pushToClient(client, { event: "resource_deleted", payload: id });
    }
    for (const [id, resource] of current) {
      const text = JSON.stringify(resource);
      if (client.sentResources.get(id) === text) continue;
      client.sentResources.set(id, text);
      pushToClient(client, { event: "resource_created_or_updated", payload: resource });
    }
  }

  #propagateFilters(now: Instant): void {
    for (const resource of this.#directory.all("resources")) {
      const key = filtersKey(resource);
      const before = this.#filters.get(resource.id);
      this.#filters.set(resource.id, key);
      if (before === undefined || before === key) continue;
      const view = gatewayResource(resource);
      for (const gateway of this.#presence.gateways.values()) {
        if (view === undefined || gateway.accountId !== resource.accountId) continue;
        pushToGateway(gateway, { event: "resource_updated", payload: view });
      }
      if (resource.type === "static_device_pool") this.#propagatePoolFilters(resource, now);
    }
    for (const id of this.#filters.keys()) {
      if (this.#directory.get("resources", id) === undefined) this.#filters.delete(id);
    }
  }

  #propagatePoolFilters(pool: Resource, now: Instant): void {
    for (const deviceId of pool.deviceIds) {
      const member = this.#presence.clients.get(deviceId);
      if (
        member === undefined || !this.#grants.liveFor(deviceId, now).some((it) => it.resource_id === pool.id)
      ) continue;
      const filters = pool.filters.map((filter) => ({ ...filter }));
      pushToClient(member, { event: "resource_filters_updated", payload: { id: pool.id, filters } });
    }
  }

  #resourcesFor(client: ClientPeer, now: Instant): ClientResource[] {
    const requester = requesterOf(this.#directory, client);
    if (requester === undefined) return [];
    const connectable = connectableResources(this.#directory, requester, this.#wallClock.unixMs(now) / 1000);
    return [...connectable.values()].flatMap((resource) => clientResource(this.#directory, resource) ?? []);
  }
}

/** Old clients cannot take a change of these in place; none can take a change of type. */
function mustReplace(client: ClientPeer, before: string, after: ClientResource): boolean {
  const old = JSON.parse(before) as ClientResource;
  if (old.type !== after.type) return true;
  if (client.version === 2) return false;
  return "sites" in old && "sites" in after && JSON.stringify(old.sites) !== JSON.stringify(after.sites);
}

function filtersKey(resource: Resource): string {
  return JSON.stringify(resource.filters);
}
