import assert from "node:assert/strict";
import type { RelayStatus } from "../../lib/node/relays.ts";
import { SocketAddress } from "../../lib/base/ip.ts";
import { underlayLimits, type UnderlayView } from "../../io/service/underlay_limits.ts";

const RELAY: RelayStatus = {
  ...{ id: "relay", state: "waiting", isSilent: true },
  ...{ address: undefined, relayedAddresses: [], rttMs: undefined },
};

function limits(
  { status = {}, underlay = {} }: {
    status?: Partial<UnderlayView["status"]>;
    underlay?: Partial<UnderlayView["underlay"]>;
  },
) {
  return underlayLimits({
    status: { isPortalJoined: true, relays: [], ...status },
    underlay: { hasPath: true, sockets: [], wantedPort: undefined, sendErrors: {}, resets: 0, ...underlay },
  });
}

Deno.test("underlayLimits: tells of a port that was asked for and is taken", () => {
  const sockets = ["0.0.0.0:40001", "[::]:40000"].map((text) => SocketAddress.from(text));
  assert.deepEqual(limits({ underlay: { sockets } }), []);
  assert.deepEqual(limits({ underlay: { sockets, wantedPort: 40_000 } }), [
    "UDP port 40000 of IPv4 is in use by another program: the session uses port 40001",
  ]);
});

Deno.test("underlayLimits: tells that no relay answers where the portal does", () => {
  const answering: RelayStatus = { ...RELAY, state: "allocated", isSilent: false };
  const relays = [RELAY, RELAY];
  assert.match(limits({ status: { relays } }).join(), /^No relay answers by UDP: a firewall may block it/);
  assert.match(
    limits({ status: { relays }, underlay: { sendErrors: { EPERM: 7 } } }).join(),
    /^No relay answers by UDP: the kernel refused 7 datagrams \(EPERM\)/,
  );
  assert.deepEqual(limits({ status: { relays: [RELAY, answering] } }), []);
  assert.deepEqual(limits({ status: { relays, isPortalJoined: false } }), []);
  assert.deepEqual(limits({ status: { relays }, underlay: { hasPath: false } }), []);
});
