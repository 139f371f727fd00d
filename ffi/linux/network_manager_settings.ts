/**
 * What NetworkManager applies to a device, as it goes over the bus (nm-settings-dbus(5)): our resolvers put in, and taken
 * out. Everything else stays as it was, the addresses above all: what is not named is removed from the device.
 */

import { IpAddress } from "../../lib/base/ip.ts";
import { type DBusValue, Variant } from "../../lib/wire/dbus/value.ts";

/** Sections of a connection: "connection", "ipv4", "ipv6", … and their keys. */
export type NmSettings = ReadonlyMap<string, ReadonlyMap<string, Variant>>;

/** An address of the device. */
export interface DeviceAddress {
  readonly address: IpAddress;
  readonly prefix: number;
}

/** What our resolvers are for NetworkManager. */
export interface NmDns {
  readonly sentinels: readonly IpAddress[];
  /** The one of our portal first, then those of the machine, which the priority would hide. */
  readonly searchDomains: readonly string[];
  readonly addresses: readonly DeviceAddress[];
}

/** nm-settings: a negative priority hides the resolvers of all connections with higher ones. */
const PRIORITY = -50;
const FAMILIES = [4, 6] as const;

/**
 * Returns `applied` with our resolvers of one family, which is enough to ask them. What is changed in a family may make
 * NetworkManager set its addresses anew, which takes the routes with it for a moment.
 */
export function withDns(applied: NmSettings, { sentinels, searchDomains, addresses }: NmDns): NmSettings {
  const settings = new Map(withoutDns(applied, addresses));
  for (const family of FAMILIES) {
    const servers = sentinels.filter((address) => address.family === family);
    const hasAddress = addresses.some(({ address }) => address.family === family && !address.isLinkLocal);
    if (servers.length === 0 || !hasAddress) continue;
    const section = new Map(settings.get(`ipv${family}`));
    section.set("dns", family === 4 ? ipv4Servers(servers) : ipv6Servers(servers));
    section.set("dns-search", new Variant("as", [...searchDomains, "~."]));
    section.set("dns-priority", new Variant("i", PRIORITY));
    settings.set(`ipv${family}`, section);
    break;
  }
  return settings;
}

/** Returns `applied` without resolvers and search domains; `addresses` are those that the device shall keep. */
export function withoutDns(applied: NmSettings, addresses: readonly DeviceAddress[]): NmSettings {
  const settings = new Map(applied);
  for (const family of FAMILIES) {
    const section = new Map(applied.get(`ipv${family}`));
    for (const key of ["dns", "dns-data", "dns-search", "dns-priority"]) section.delete(key);
    // NetworkManager may have looked at the device before it had all its addresses, and would take the rest away.
    const own = addresses.filter(({ address }) => address.family === family && !address.isLinkLocal);
    if (own.length > 0) {
      section.set("method", new Variant("s", "manual"));
      // An older spelling of the same.
      section.delete("addresses");
      section.set("address-data", addressData(own));
    }
    settings.set(`ipv${family}`, section);
  }
  return settings;
}

/** Returns `value` as settings, undefined if it is none. */
export function readSettings(value: DBusValue | undefined): NmSettings | undefined {
  if (!(value instanceof Map)) return undefined;
  for (const section of value.values()) if (!(section instanceof Map)) return undefined;
  return value as unknown as NmSettings;
}

/** One entry of the property Configuration of NetworkManager's DNS manager. */
export interface NmConfiguration {
  readonly device: string;
  readonly nameservers: readonly { readonly address: IpAddress; readonly zone: string | undefined }[];
  readonly domains: readonly string[];
}

/** Returns the entries of `value`, a property of the type aa{sv}; what cannot be read is left out. */
export function readConfiguration(value: DBusValue): NmConfiguration[] {
  if (!Array.isArray(value)) return [];
  return value.filter((entry) => entry instanceof Map).map((entry: ReadonlyMap<DBusValue, DBusValue>) => {
    const inner = (key: string) => {
      const variant = entry.get(key);
      return variant instanceof Variant ? variant.value : undefined;
    };
    const device = inner("interface");
    return {
      device: typeof device === "string" ? device : "",
      nameservers: texts(inner("nameservers")).flatMap((text) => {
        // "dns+udp://[fe80::1%eth0]:53#name": later versions let servers have a protocol, a port and a name.
        const bare = text.replace(/^[a-z+]+:\/\//, "").replace(/#.*$/, "").replace(
          /^\[([^\]]*)\](?::\d+)?$/,
          "$1",
        );
        const [host = "", zone] = bare.replace(/^([\d.]+):\d+$/, "$1").split("%", 2);
        const address = IpAddress.parse(host);
        return address === undefined ? [] : [{ address, zone }];
      }),
      domains: texts(inner("domains")).filter((domain) => domain !== "" && !domain.startsWith("~")),
    };
  });
}

function texts(value: DBusValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
}

function addressData(addresses: readonly DeviceAddress[]): Variant {
  const entries = addresses.map(({ address, prefix }) =>
    new Map([["address", new Variant("s", String(address))], ["prefix", new Variant("u", prefix)]])
  );
  return new Variant("aa{sv}", entries);
}

/** An address is a number whose bytes in memory are those of the address. */
function ipv4Servers(servers: readonly IpAddress[]): Variant {
  const numbers = servers.map(({ bytes }) =>
    new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  );
  return new Variant("au", numbers);
}

function ipv6Servers(servers: readonly IpAddress[]): Variant {
  return new Variant("aay", servers.map(({ bytes }) => bytes));
}
