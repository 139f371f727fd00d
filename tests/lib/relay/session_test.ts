import assert from "node:assert/strict";
import { IpAddress } from "../../../lib/base/ip.ts";
import { silentLog } from "../../../lib/base/log.ts";
import { seededRng } from "../../../lib/base/rng.ts";
import { WallClock } from "../../../lib/base/time.ts";
import { RelaySession } from "../../../lib/relay/session.ts";

function session(secret?: string): RelaySession {
  return new RelaySession({
    publicAddress: { 4: IpAddress.from("203.0.113.1"), 6: IpAddress.from("2001:db8::1") },
    listenPort: 3478,
    lowestPort: 49152,
    highestPort: 65535,
    name: "relay-1",
    secret,
    rng: seededRng(1),
    now: 0,
    wallClock: new WallClock(0, 0),
    log: silentLog,
  });
}

Deno.test("RelaySession joins with a secret of 32 bytes in lower-case hexadecimal", () => {
  const relay = session();
  assert.match(relay.joinPayload.stamp_secret, /^[0-9a-f]{64}$/);
  assert.equal(relay.joinPayload.stamp_secret, relay.secret);
  assert.equal(session("given").secret, "given");
});

Deno.test("RelaySession tells the portal its addresses, port and name", () => {
  assert.deepEqual(session().connectParameters, {
    ipv4: "203.0.113.1",
    ipv6: "2001:db8::1",
    port: "3478",
    name: "relay-1",
  });
});

Deno.test("RelaySession is ready only while the portal knows it", () => {
  const relay = session();
  assert.equal(relay.isReady, false);
  relay.handlePortalJoined();
  assert.equal(relay.isReady, true);
  relay.handlePortal({ event: "init", payload: {} });
  assert.equal(relay.status().portal, "initialised");
  relay.handlePortalLost();
  assert.equal(relay.isReady, false);
  relay.handlePortalJoined();
  assert.equal(relay.isReady, true);
});
