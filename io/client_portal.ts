/** A client's portal: carries messages between it and the session, and tells what becomes of the connection. */

import type { Fault } from "../lib/base/fault.ts";
import type { Log } from "../lib/base/log.ts";
import type { ChannelEvent, ChannelTrouble } from "../lib/channel/client.ts";
import type { ClientSession } from "../lib/client/session.ts";
import type { ClientConfig } from "../lib/control/config.ts";
import type { EventSink } from "../lib/control/event.ts";
import { decodeClientInbound, encodeClientOutbound } from "../lib/wire/portal/client.ts";
import { reportSignedIn } from "./client_events.ts";
import { monotonicNow } from "./clock.ts";
import { PortalConnection, type PortalConnectionOptions } from "./portal_connection.ts";

/** Which portal, as whom, and who is told. */
export interface ClientPortalOptions {
  /** How to reach it. */
  readonly connection: Pick<
    PortalConnectionOptions,
    "trust" | "userAgent" | "parameters" | "lookup" | "onAddresses"
  >;
  readonly config: Pick<ClientConfig, "apiUrl" | "token" | "failFast" | "maxPartitionTime">;
  readonly session: Pick<
    ClientSession,
    "handlePortal" | "handlePortalJoined" | "handlePortalLost" | "pollPortal"
  >;
  readonly emit: EventSink;
  /** Called after the portal came or went, or could not be reached once more. */
  readonly onChange: () => void;
  /** Called after the session was told of something. */
  readonly onTold: () => void;
  /** Called when there is no use in trying on. */
  readonly onFatal: (fault: Fault) => void;
  /** Whether the client ends, and need not know any more. */
  readonly isEnding: () => boolean;
  readonly log: Log;
}

export class ClientPortal {
  readonly #options: ClientPortalOptions;
  readonly #connection: PortalConnection;

  /** Throws a `Fault` if the URL cannot be used. Nothing happens on the network before `start`. */
  constructor(options: ClientPortalOptions) {
    const { config, connection, log } = options;
    this.#options = options;
    this.#connection = new PortalConnection({
      ...connection,
      role: "client",
      url: config.apiUrl,
      token: config.token,
      onEvent: (event) => this.#handleEvent(event),
      isPatient: !config.failFast,
      ...(config.maxPartitionTime === undefined ? {} : { maxPartitionTime: config.maxPartitionTime }),
      log: log.part("portal"),
    });
  }

  get isJoined(): boolean {
    return this.#connection.isJoined;
  }

  /** Why the portal is away; undefined while it is there, and before the first attempt ended. */
  get trouble(): ChannelTrouble | undefined {
    return this.#connection.trouble;
  }

  /** Dials. */
  start(): void {
    this.#connection.start();
  }

  /** Replaces the connection at once. What was asked for on it so far counts as not asked for. */
  redial(): void {
    this.#options.session.handlePortalLost(monotonicNow());
    this.#connection.redial();
  }

  /** Sends what the session has to say. */
  flush(): void {
    const { session } = this.#options;
    for (let message = session.pollPortal(); message !== undefined; message = session.pollPortal()) {
      const { event, payload } = encodeClientOutbound(message);
      this.#connection.send(event, payload);
    }
  }

  /** Closes politely; resolves when the sockets are gone. Nobody is told anything after the call. */
  stop(): Promise<void> {
    return this.#connection.stop();
  }

  #handleEvent(event: ChannelEvent): void {
    const { session, emit, log, isEnding, onChange, onFatal, onTold } = this.#options;
    if (isEnding()) return;
    const now = monotonicNow();
    switch (event.type) {
      case "joined":
        log.info("connected to the portal");
        emit({ event: "portal-connected" });
        session.handlePortalJoined(now);
        onChange();
        break;
      case "hiccup":
        log.warn("portal cannot be reached; trying again", { reason: event.reason });
        if (event.wasJoined) emit({ event: "portal-lost", reason: event.reason });
        session.handlePortalLost(now);
        onChange();
        break;
      case "message": {
        const message = decodeClientInbound(event.event, event.payload);
        if (!message.ok) {
          log.debug("portal message not understood", { event: event.event, reason: message.reason });
          break;
        }
        if (message.value.event === "init") reportSignedIn(message.value.payload, emit);
        session.handlePortal(message.value, now);
        break;
      }
      case "fatal":
        return onFatal(event.fault);
    }
    onTold();
  }
}
