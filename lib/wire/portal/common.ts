/**
 * Parts of portal messages that several roles share, and the machinery that decodes a message by its event name.
 * Field names are those on the wire. Values stay JSON: addresses, networks and keys are text that was checked, so
 * `IpAddress.from`, `IpNetwork.from`, `SocketAddress.from` and `fromBase64` do not fail on them.
 */

import * as v from "valibot";
import { fromBase64 } from "../../base/bytes.ts";
import { IpAddress, IpNetwork, SocketAddress } from "../../base/ip.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { isHostName } from "../dns_name.ts";

/** Which of the two vocabularies a socket speaks: 1 = `/client/websocket`, 2 = `/client/v2/websocket`. */
export type SocketVersion = 1 | 2;

/** Why a message could not be used. */
export type DecodeReason = "unknown-event" | "malformed";

/** An event name and its payload, ready for a Phoenix frame. */
export interface WireMessage {
  readonly event: string;
  readonly payload: unknown;
}

/** The union of messages that a table of schemas by event name describes. */
export type MessageOf<S extends SchemaTable> = {
  [E in keyof S & string]: { readonly event: E; readonly payload: v.InferOutput<S[E]> };
}[keyof S & string];

/** Schemas by event name. */
export type SchemaTable = Readonly<Record<string, v.GenericSchema>>;

/**
 * Returns the message named `event`, after `aliases` (other names for the same thing) are applied. Unknown events and
 * payloads that do not fit are values: the caller counts and drops them.
 */
export function decodeMessage<S extends SchemaTable>(
  table: S,
  aliases: ReadonlyMap<string, string>,
  event: string,
  payload: unknown,
): Result<MessageOf<S>, DecodeReason> {
  const name = aliases.get(event) ?? event;
  const schema = Object.hasOwn(table, name) ? table[name] : undefined;
  if (schema === undefined) return err("unknown-event");
  const parsed = v.safeParse(schema, payload);
  if (!parsed.success) return err("malformed");
  return ok({ event: name, payload: parsed.output } as MessageOf<S>);
}

/** Returns a schema for `schema`, null or nothing; both of the latter become undefined. */
export function absent<T extends v.GenericSchema>(schema: T) {
  return v.pipe(
    v.nullish(schema),
    v.transform((value): v.InferOutput<T> | undefined => value ?? undefined),
  );
}

/**
 * Returns a schema for a list whose unusable elements are skipped; null and nothing are the empty list. Elements after
 * the first `limit` are not even looked at.
 */
export function lenientList<T extends v.GenericSchema>(schema: T, limit?: number) {
  return v.pipe(
    v.nullish(v.array(v.unknown()), []),
    v.transform((items): v.InferOutput<T>[] =>
      items.slice(0, limit).flatMap((item) => {
        const parsed = v.safeParse(schema, item);
        return parsed.success ? [parsed.output] : [];
      })
    ),
  );
}

/** Returns a schema that copies `alias` to `key` if the latter is missing, then applies `schema`. */
export function withAlias<T extends v.GenericSchema>(key: string, alias: string, schema: T) {
  return v.pipe(
    v.record(v.string(), v.unknown()),
    v.transform((object): unknown =>
      object[key] === undefined && object[alias] !== undefined ? { ...object, [key]: object[alias] } : object
    ),
    schema,
  );
}

/** An identifier: opaque text. Production uses lower-case UUIDs. */
export const Id = v.pipe(v.string(), v.minLength(1), v.maxLength(255));

/** Unix time in seconds, within what `Date` can hold. */
export const UnixSeconds = v.pipe(v.number(), v.minValue(0), v.maxValue(8.64e12));

/** 32 bytes as padded base64. */
export const Key = v.pipe(v.string(), v.length(44), v.check((text) => fromBase64(text)?.length === 32));

/** An IP address. */
export const IpText = v.pipe(v.string(), v.check((text) => IpAddress.parse(text) !== undefined));
/** An IPv4 address. */
export const Ipv4Text = v.pipe(v.string(), v.check((text) => IpAddress.parse(text)?.family === 4));
/** An IPv6 address. */
export const Ipv6Text = v.pipe(v.string(), v.check((text) => IpAddress.parse(text)?.family === 6));
const SocketAddressText = v.pipe(
  v.string(),
  v.check((text) => SocketAddress.parse(text) !== undefined),
);
/** A network in CIDR form with zero host bits; a bare address stands for itself. */
export const CidrText = v.pipe(
  v.string(),
  v.check((text) => {
    const address = IpAddress.parse(text.split("/", 1)[0]!);
    return address !== undefined && IpNetwork.parse(text)?.address.equals(address) === true;
  }),
);
/** An address that the portal may write with a netmask ("100.70.4.4/32"); the output is bare. */
export const LenientIpv4 = v.pipe(v.string(), v.transform(withoutMask), Ipv4Text);
export const LenientIpv6 = v.pipe(v.string(), v.transform(withoutMask), Ipv6Text);

const Port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535));

/** An allowed kind of traffic. */
export const Filter = v.variant("protocol", [
  v.object({ protocol: v.literal("icmp") }),
  v.pipe(
    v.object({
      protocol: v.picklist(["tcp", "udp"]),
      port_range_start: v.nullish(Port, 0),
      port_range_end: v.nullish(Port, 65535),
    }),
    v.check((filter) => filter.port_range_start <= filter.port_range_end),
  ),
]);
/**
 * Allowed kinds of traffic; the empty list allows everything. Unreadable ones are skipped, but a list of which nothing
 * remains spoils its resource: it must not turn into one that allows everything.
 */
export const Filters = v.pipe(
  v.nullish(v.array(v.unknown()), []),
  v.transform((items) => ({ isEmpty: items.length === 0, filters: v.parse(lenientList(Filter), items) })),
  v.check(({ isEmpty, filters }) => isEmpty || filters.length > 0),
  v.transform(({ filters }) => filters),
);

/** Where gateways stand. */
export const Site = v.object({ id: Id, name: v.string() });

/** An attribute of a STUN message is made of each: RFC 8839 §5.4 sets the longest, and nobody signs with nothing. */
const IceText = v.pipe(v.string(), v.minLength(1), v.maxLength(256));
export const IceCredentials = v.object({ username: IceText, password: IceText });

/** RFC 8489 §14.3, §14.4. */
const TurnText = v.pipe(v.string(), v.minLength(1), v.maxLength(508));

/** A relay. Dual-stack relays are two adjacent entries with one id. */
export const Relay = v.variant("type", [
  v.object({
    type: v.literal("turn"),
    id: Id,
    addr: SocketAddressText,
    username: TurnText,
    password: TurnText,
    expires_at: UnixSeconds,
  }),
  v.object({ type: v.literal("stun"), id: Id, addr: SocketAddressText }),
]);

/** Relays that went and relays that came. */
export const RelaysPresence = v.object({
  disconnected_ids: lenientList(Id),
  connected: lenientList(Relay),
});

/** "`client_id` may access `resource_id` until `expires_at`." */
export const Authorization = v.object({ client_id: Id, resource_id: Id, expires_at: UnixSeconds });

/** Whose access to what. */
export const AccessReference = v.object({ client_id: Id, resource_id: Id });

/** Where and how often peers shall tell what passed. */
export const FlowLogs = v.object({
  api_url: v.string(),
  upload_interval_secs: v.number(),
  upload_batch_size: v.number(),
});

/** What a peer can do besides. */
export const SnownetCapabilities = v.object({ iceless: v.nullish(v.boolean(), false) });

/** SDP `candidate:` lines. Not parsed here: bad ones are the agent's to skip. An agent has fewer than so many. */
export const Candidates = lenientList(v.pipe(v.string(), v.maxLength(512)), 128);

/** Candidates of one client, or for it. */
export const ClientCandidates = v.object({ client_id: Id, candidates: Candidates });

/** A suffix for names that users leave incomplete. It goes into files of the system: anything odd is left out. */
export const SearchDomain = v.pipe(
  absent(v.string()),
  v.transform((text) => {
    const name = text?.replace(/\.$/, "");
    return name !== undefined && isHostName(name) ? name : undefined;
  }),
);

/** A payload that says nothing. */
export const Empty = v.pipe(v.unknown(), v.transform((): Record<string, never> => ({})));

export type Filter = v.InferOutput<typeof Filter>;
export type Site = v.InferOutput<typeof Site>;
export type IceCredentials = v.InferOutput<typeof IceCredentials>;
export type Relay = v.InferOutput<typeof Relay>;
export type RelaysPresence = v.InferOutput<typeof RelaysPresence>;
export type Authorization = v.InferOutput<typeof Authorization>;
export type FlowLogs = v.InferOutput<typeof FlowLogs>;

function withoutMask(text: string): string {
  return text.replace(/\/(32|128)$/, "");
}
