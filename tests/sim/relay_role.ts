/** A whole relay, as the portal knows it. */

import { silentLog } from "../../lib/base/log.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import { RelaySession } from "../../lib/relay/session.ts";
import { decodeRelayInbound } from "../../lib/wire/portal/relay.ts";
import { Host } from "./host.ts";
import { PortalLink, type SimPortal } from "./portal.ts";
import { wallClock } from "./relay.ts";
import { TurnMachine } from "./turn_machine.ts";

const LISTEN_PORT = 3478;

export class RelayRole {
  readonly host: Host;
  readonly link: PortalLink;
  readonly ip: IpAddress;
  readonly #session: RelaySession;

  constructor(portal: SimPortal, token: string, ip: IpAddress) {
    const { simulation } = portal;
    this.ip = ip;
    this.host = new Host(simulation, LISTEN_PORT);
    this.#session = new RelaySession({
      publicAddress: { 4: ip },
      listenPort: LISTEN_PORT,
      lowestPort: 49_152,
      highestPort: 65_535,
      rng: simulation.rng,
      now: simulation.now,
      wallClock: wallClock(),
      log: silentLog,
    });
    this.link = new PortalLink({
      portal,
      role: "relay",
      token,
      query: () => ({ ipv4: ip.toString(), port: String(LISTEN_PORT) }),
      joinPayload: this.#session.joinPayload,
      onEvent: (event) => {
        if (event.type !== "message") return;
        const message = decodeRelayInbound(event.event, event.payload);
        if (message.ok) this.#session.handlePortal(message.value);
      },
    });
  }

  start(): void {
    this.host.run(new TurnMachine(() => this.#session.server));
    this.link.start();
  }
}
