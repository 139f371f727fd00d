/** Conditions of policies, judged for one client at one moment. portal-protocol §7.3. */

import { IpAddress, IpNetwork } from "../base/ip.ts";
import type { Condition } from "./model.ts";

/** What conditions look at. */
export interface ConditionContext {
  readonly remoteIp: IpAddress | undefined;
  readonly unixSeconds: number;
  readonly isVerified: boolean;
}

/** `expiresAt`: until when the condition holds, as far as time decides. */
export type Verdict =
  | { readonly holds: true; readonly expiresAt: number | undefined }
  | { readonly holds: false };

/** Returns whether `condition` holds. */
export function judge(condition: Condition, context: ConditionContext): Verdict {
  switch (condition.property) {
    case "remote_ip": {
      const inside = context.remoteIp !== undefined &&
        condition.values.some((value) => IpNetwork.parse(value)?.contains(context.remoteIp!) === true);
      return verdict(context.remoteIp !== undefined && inside === (condition.operator === "is_in_cidr"));
    }
    case "current_utc_datetime":
      return judgeTime(condition.values, context.unixSeconds);
    case "auth_provider_id":
      // Tokens of this portal have no provider, as those of service accounts.
      return verdict(condition.operator === "is_not_in");
    case "remote_ip_location_region":
      // The region is never known here, which fails both operators.
      return verdict(false);
    case "client_verified":
      return verdict(condition.values[0] !== "true" || context.isVerified);
  }
}

/** One line of time ranges, minutes of the day. */
export interface DayRanges {
  /** 0 = Sunday, as in JavaScript. */
  readonly day: number;
  readonly ranges: readonly { readonly from: number; readonly to: number }[];
  readonly zone: string;
}

/** Returns the ranges in `text`, such as "W/08:30-12:00,13:00-17:00/Europe/Berlin" or "S/true/UTC", or undefined. */
export function parseDayRanges(text: string): DayRanges | undefined {
  const [letter = "", list = "", ...zoneParts] = text.split("/");
  const day = DAYS.indexOf(letter);
  const zone = zoneParts.join("/");
  if (letter.length !== 1 || day < 0 || !isZone(zone)) return undefined;
  if (list === "true") return { day, ranges: [{ from: 0, to: MINUTES_A_DAY }], zone };
  const ranges: { from: number; to: number }[] = [];
  for (const part of list === "" || list === "false" ? [] : list.split(",")) {
    const match = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/.exec(part.trim());
    if (match === null) return undefined;
    const from = Number(match[1]) * 60 + Number(match[2]);
    const to = Number(match[3]) * 60 + Number(match[4]);
    if (from > to || to > MINUTES_A_DAY) return undefined;
    ranges.push({ from, to });
  }
  return { day, ranges, zone };
}

function judgeTime(values: readonly string[], unixSeconds: number): Verdict {
  for (const value of values) {
    const line = parseDayRanges(value);
    if (line === undefined) continue;
    const local = localTime(unixSeconds, line.zone);
    if (local.day !== line.day) continue;
    const range = line.ranges.find(({ from, to }) => local.seconds >= from * 60 && local.seconds < to * 60);
    if (range !== undefined) {
      return { holds: true, expiresAt: Math.floor(unixSeconds) + range.to * 60 - local.seconds };
    }
  }
  return { holds: false };
}

/** Returns day of the week and seconds of the day on the clocks of `zone`. */
function localTime(unixSeconds: number, zone: string): { day: number; seconds: number } {
  const parts = new Map(
    new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      weekday: "short",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    }).formatToParts(unixSeconds * 1000).map(({ type, value }) => [type, value]),
  );
  const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
  return {
    day: WEEKDAYS.indexOf(parts.get("weekday") ?? ""),
    seconds: number("hour") * 3600 + number("minute") * 60 + number("second"),
  };
}

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: zone === "" ? "invalid" : zone });
    return true;
  } catch {
    return false;
  }
}

function verdict(holds: boolean): Verdict {
  return holds ? { holds, expiresAt: undefined } : { holds };
}

/** Returns whether every value of `condition` can be understood. */
export function isWellFormed(condition: Condition): boolean {
  switch (condition.property) {
    case "remote_ip":
      return condition.values.every((value) => IpNetwork.parse(value) !== undefined);
    case "current_utc_datetime":
      return condition.values.every((value) => parseDayRanges(value) !== undefined);
    default:
      return true;
  }
}

/** Returns the address that `text` names: IPv4 in IPv6 clothes is undressed. */
export function remoteAddress(text: string): IpAddress | undefined {
  return IpAddress.parse(text.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, ""));
}

const MINUTES_A_DAY = 24 * 60;
const DAYS = "UMTWRFS";
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
