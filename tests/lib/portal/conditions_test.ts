import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../../lib/base/ip.ts";
import { isWellFormed, judge, parseDayRanges, remoteAddress } from "../../../lib/portal/conditions.ts";

const at = (iso: string) => ({
  remoteIp: IpAddress.from("198.51.100.7"),
  unixSeconds: Date.parse(iso) / 1000,
  isVerified: false,
});
const hours = (...values: string[]) =>
  ({ property: "current_utc_datetime", operator: "is_in_day_of_week_time_ranges", values }) as const;

Deno.test("judge holds within a time range and says when it ends", () => {
  // 2026-07-01 is a Wednesday; Berlin is two hours ahead of UTC then.
  const condition = hours("W/08:30-12:00,13:00-17:00/Europe/Berlin");
  assert.deepEqual(judge(condition, at("2026-07-01T06:29:59Z")), { holds: false });
  assert.deepEqual(judge(condition, at("2026-07-01T06:30:00Z")), {
    holds: true,
    expiresAt: Date.parse("2026-07-01T10:00:00Z") / 1000,
  });
  assert.deepEqual(judge(condition, at("2026-07-01T10:00:00Z")), { holds: false });
  assert.deepEqual(judge(condition, at("2026-07-01T11:00:01Z")), {
    holds: true,
    expiresAt: Date.parse("2026-07-01T15:00:00Z") / 1000,
  });
  assert.deepEqual(judge(condition, at("2026-07-02T07:00:00Z")), { holds: false });
});

Deno.test("judge takes `true` as the whole day", () => {
  assert.deepEqual(judge(hours("R/true/UTC", "F/true/UTC"), at("2026-07-02T23:59:59Z")), {
    holds: true,
    expiresAt: Date.parse("2026-07-03T00:00:00Z") / 1000,
  });
});

Deno.test("judge compares the observed address with networks", () => {
  const context = at("2026-07-01T00:00:00Z");
  const inside = { property: "remote_ip", operator: "is_in_cidr", values: ["198.51.100.0/24"] } as const;
  const outside = { property: "remote_ip", operator: "is_not_in_cidr", values: ["198.51.100.7"] } as const;
  assert(judge(inside, context).holds);
  assert(!judge(outside, context).holds);
  assert(!judge(outside, { ...context, remoteIp: undefined }).holds);
});

Deno.test("judge knows no provider and no region, and asks for verification only with true", () => {
  const context = at("2026-07-01T00:00:00Z");
  assert(!judge({ property: "auth_provider_id", operator: "is_in", values: ["x"] }, context).holds);
  assert(judge({ property: "auth_provider_id", operator: "is_not_in", values: ["x"] }, context).holds);
  assert(
    !judge({ property: "remote_ip_location_region", operator: "is_not_in", values: ["FR"] }, context).holds,
  );
  assert(!judge({ property: "client_verified", operator: "is", values: ["true"] }, context).holds);
  assert(
    judge({ property: "client_verified", operator: "is", values: ["true"] }, { ...context, isVerified: true })
      .holds,
  );
  assert(judge({ property: "client_verified", operator: "is", values: ["false"] }, context).holds);
});

Deno.test("parseDayRanges refuses what it cannot understand, without throwing", () => {
  for (
    const text of [
      "",
      "X/true/UTC",
      "M/25:00-26:00/UTC",
      "M/10:00-09:00/UTC",
      "M/true/Mars/Base",
      "M/true",
      "MM/true/UTC",
    ]
  ) {
    assert.equal(parseDayRanges(text), undefined, text);
  }
  fc.assert(fc.property(fc.string(), (text) => void parseDayRanges(text)));
  assert(!isWellFormed(hours("nonsense")));
});

Deno.test("remoteAddress undresses IPv4 in IPv6 clothes", () => {
  assert.equal(String(remoteAddress("::ffff:192.0.2.1")), "192.0.2.1");
  assert.equal(String(remoteAddress("fe80::1%eth0")), "fe80::1");
  assert.equal(remoteAddress(""), undefined);
});
