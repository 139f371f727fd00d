/** The portal's records in memory, written through to a store. Removing a record removes what hangs on it. */

import { sha256 } from "@noble/hashes/sha2.js";
import { toBase64, toHex, utf8 } from "../base/bytes.ts";
import type { Rng } from "../base/rng.ts";
import { freeAddress, TUNNEL_NETWORK_4, TUNNEL_NETWORK_6 } from "./addresses.ts";
import { uuidOf } from "./credentials.ts";
import { type Device, type Group, TABLE_NAMES, type TableName, type Tables, type Token } from "./model.ts";
import type { PortalStore } from "./store.ts";

export class Directory {
  readonly #store: PortalStore;
  readonly #rng: Rng;
  readonly #tables = new Map<TableName, Map<string, Tables[TableName]>>();
  readonly #salt: string;
  readonly #tokensByHash = new Map<string, string>();

  /** Reads everything from `store`. */
  constructor(store: PortalStore, rng: Rng) {
    this.#store = store;
    this.#rng = rng;
    for (const table of TABLE_NAMES) {
      this.#tables.set(table, new Map(store.all(table).map((record) => [record.id, record])));
    }
    let salt = store.setting(SALT_SETTING);
    if (salt === undefined) {
      salt = toBase64(rng.bytes(32));
      store.setSetting(SALT_SETTING, salt);
    }
    this.#salt = salt;
    for (const token of this.all("tokens")) this.#tokensByHash.set(token.hash, token.id);
  }

  all<T extends TableName>(table: T): Tables[T][] {
    return [...this.#tables.get(table)!.values()] as Tables[T][];
  }

  get<T extends TableName>(table: T, id: string | undefined): Tables[T] | undefined {
    return id === undefined ? undefined : this.#tables.get(table)!.get(id) as Tables[T] | undefined;
  }

  /** Returns the first record of `table` that satisfies `test`. */
  find<T extends TableName>(table: T, test: (record: Tables[T]) => boolean): Tables[T] | undefined {
    return this.all(table).find(test);
  }

  put<T extends TableName>(table: T, record: Tables[T]): void {
    if (table === "tokens") {
      const before = this.get("tokens", record.id);
      if (before !== undefined) this.#tokensByHash.delete(before.hash);
      this.#tokensByHash.set((record as Token).hash, record.id);
    }
    this.#tables.get(table)!.set(record.id, record);
    this.#store.put(table, record);
  }

  /** Removes the record and everything that cannot be without it. Returns whether it was there. */
  remove(table: TableName, id: string): boolean {
    const record = this.get(table, id);
    if (record === undefined) return false;
    if (table === "tokens") this.#tokensByHash.delete((record as Token).hash);
    this.#tables.get(table)!.delete(id);
    this.#store.remove(table, id);
    for (const [dependent, column] of DEPENDENTS[table] ?? []) {
      for (const row of this.all(dependent)) {
        if ((row as unknown as Record<string, unknown>)[column] === id) this.remove(dependent, row.id);
      }
    }
    if (table === "devices") this.#leavePools(id);
    return true;
  }

  /** Returns a new random id. */
  newId(): string {
    return uuidOf(this.#rng.bytes(16));
  }

  /** Returns what is kept of the token `text`. */
  hashToken(text: string): string {
    return toHex(sha256(utf8(`${this.#salt}${text}`)));
  }

  /** Returns the token whose text is `text`. */
  tokenByText(text: string): Token | undefined {
    return this.get("tokens", this.#tokensByHash.get(this.hashToken(text)));
  }

  /** Returns the groups that the actor is in, "Everyone" included, and the membership that puts it there. */
  groupsOf(actorId: string): Map<string, { readonly group: Group; readonly membershipId: string }> {
    const actor = this.get("actors", actorId);
    const found = new Map<string, { readonly group: Group; readonly membershipId: string }>();
    if (actor === undefined) return found;
    for (const group of this.all("groups")) {
      const implicit = group.isEveryone && group.accountId === actor.accountId &&
        actor.type !== "service_account";
      if (implicit) found.set(group.id, { group, membershipId: "everyone" });
    }
    for (const membership of this.all("memberships")) {
      const group = this.get("groups", membership.groupId);
      if (membership.actorId === actorId && group !== undefined && !found.has(group.id)) {
        found.set(group.id, { group, membershipId: membership.id });
      }
    }
    return found;
  }

  /** Returns the device of this owner with this external id; a new one gets free addresses. */
  device(
    identity: Pick<Device, "accountId" | "role" | "ownerId" | "externalId" | "name">,
    unixSeconds: number,
  ): Device {
    const siblings = this.all("devices").filter((device) =>
      device.role === identity.role && device.ownerId === identity.ownerId
    );
    const known = siblings.find((device) => device.externalId === identity.externalId);
    if (known === undefined && siblings.length >= MAX_DEVICES_PER_OWNER) {
      // Containers that come with a new identity each time would fill the table.
      const oldest = siblings.reduce((one, other) => other.lastSeenAt < one.lastSeenAt ? other : one);
      this.remove("devices", oldest.id);
    }
    const device: Device = known !== undefined
      ? { ...known, name: identity.name, lastSeenAt: unixSeconds }
      : {
        ...identity,
        id: this.newId(),
        ipv4: this.#freeAddress(identity.accountId, "ipv4"),
        ipv6: this.#freeAddress(identity.accountId, "ipv6"),
        pskBase: toBase64(this.#rng.bytes(32)),
        isVerified: false,
        lastSeenAt: unixSeconds,
      };
    this.put("devices", device);
    return device;
  }

  #freeAddress(accountId: string, column: "ipv4" | "ipv6"): string {
    const used = new Set(
      this.all("devices").filter((device) => device.accountId === accountId).map((device) => device[column]),
    );
    return freeAddress(column === "ipv4" ? TUNNEL_NETWORK_4 : TUNNEL_NETWORK_6, used, this.#rng);
  }

  #leavePools(deviceId: string): void {
    for (const resource of this.all("resources")) {
      if (!resource.deviceIds.includes(deviceId)) continue;
      this.put("resources", { ...resource, deviceIds: resource.deviceIds.filter((id) => id !== deviceId) });
    }
  }
}

/** Tables whose rows go when the row named in their column goes. Authorizations are voided by their basis instead. */
const DEPENDENTS: Partial<Record<TableName, readonly (readonly [TableName, string])[]>> = {
  accounts: [
    ["sites", "accountId"],
    ["actors", "accountId"],
    ["groups", "accountId"],
    ["tokens", "accountId"],
    ["devices", "accountId"],
    ["resources", "accountId"],
  ],
  sites: [["tokens", "siteId"], ["devices", "ownerId"], ["resources", "siteId"]],
  actors: [["tokens", "actorId"], ["devices", "ownerId"], ["memberships", "actorId"]],
  groups: [["memberships", "groupId"], ["policies", "groupId"]],
  resources: [["policies", "resourceId"]],
};

const MAX_DEVICES_PER_OWNER = 1000;
const SALT_SETTING = "token_salt";
