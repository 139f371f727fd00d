/** Candidates of peers, passed on as they are to peers of the same account, with the sender's id. */

import type { ClientOutbound } from "../wire/portal/client.ts";
import type { GatewayOutbound } from "../wire/portal/gateway.ts";
import {
  type AnyPeer,
  type ClientPeer,
  type GatewayPeer,
  type Presence,
  pushToClient,
  pushToGateway,
} from "./peers.ts";

/** A message with candidates for gateways. */
type ForGateways = Extract<
  ClientOutbound,
  {
    event:
      | "new_gateway_ice_candidates"
      | "broadcast_ice_candidates"
      | "invalidate_gateway_ice_candidates"
      | "broadcast_invalidated_ice_candidates";
  }
>;

/** A message with candidates for another client. */
type ForClient = Extract<
  ClientOutbound,
  { event: "new_client_ice_candidates" | "invalidate_client_ice_candidates" }
>;

/** A gateway's message with candidates for clients. */
type ForClients = Extract<
  GatewayOutbound,
  { event: "broadcast_ice_candidates" | "broadcast_invalidated_ice_candidates" }
>;

export class Signalling {
  readonly #presence: Presence;

  constructor(presence: Presence) {
    this.#presence = presence;
  }

  /** Passes a client's candidates on to gateways. */
  toGateways(client: ClientPeer, { event, payload }: ForGateways): void {
    const isValid = event === "new_gateway_ice_candidates" || event === "broadcast_ice_candidates";
    const ids = "gateway_id" in payload ? [payload.gateway_id] : payload.gateway_ids;
    // Each once: a long list of one name must not multiply what is forwarded.
    for (const id of new Set(ids)) {
      const gateway = this.#presence.gateways.get(id);
      if (gateway === undefined || gateway.accountId !== client.accountId) continue;
      pushToGateway(gateway, {
        event: isValid ? "ice_candidates" : "invalidate_ice_candidates",
        payload: { client_id: client.deviceId, candidates: payload.candidates },
      });
    }
  }

  /** Passes a gateway's candidates on to clients. */
  toClients(gateway: GatewayPeer, { event, payload }: ForClients): void {
    const { client_ids, candidates } = payload;
    for (const id of new Set(client_ids)) {
      const client = this.#clientOf(gateway, id);
      if (client === undefined) continue;
      pushToClient(client, {
        event: event === "broadcast_ice_candidates" ? "ice_candidates" : "invalidate_ice_candidates",
        payload: { gateway_id: gateway.deviceId, candidates },
      });
    }
  }

  /** Passes a client's candidates on to another client. */
  toClient(client: ClientPeer, { event, payload: { client_id, candidates } }: ForClient): void {
    const target = this.#clientOf(client, client_id);
    const isValid = event === "new_client_ice_candidates";
    if (target !== undefined) {
      pushToClient(target, {
        event: isValid ? "client_ice_candidates" : "invalidate_client_ice_candidates",
        payload: { client_id: client.deviceId, candidates },
      });
    } else if (!isValid) {
      pushToClient(client, {
        event: "client_ice_candidate_error",
        payload: { client_id, reason: "offline" },
      });
    }
  }

  /** Returns the online client `deviceId` of the same account as `peer`. */
  #clientOf(peer: AnyPeer, deviceId: string): ClientPeer | undefined {
    const client = this.#presence.clients.get(deviceId);
    return client?.accountId === peer.accountId ? client : undefined;
  }
}
