/**
 * Tries a token at its portal before it is stored: connects once as the client would, joins, reads the first message,
 * and leaves.
 *
 * A portal keeps one connection of a device, and the last one wins (portal-protocol §7.9): joining would end a session
 * that runs on this machine with a token of the same person. A device id of our own would avoid that and leave a device
 * in the portal that nobody knows. So, beside a session, the upgrade is asked for without the device's parameters:
 * portals judge the token first and refuse such a request afterwards (§1.8), before they touch any device.
 */

import { toBase64 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { ChannelEvent } from "../../lib/channel/client.ts";
import type { SignIn, SignInRequest } from "../../lib/control/credential.ts";
import { decodeClientInbound } from "../../lib/wire/portal/client.ts";
import { deviceId, externalId } from "../device_id.ts";
import { PortalConnection, type PortalConnectionOptions } from "../portal_connection.ts";
import { systemRng } from "../rng.ts";

/** The channel's own patience ends first, unless the portal keeps asking for more. */
const LIMIT_MS = 25_000;

/** Returns what the portal says to the token. Throws "rejected", "expired" or "unreachable". */
export async function verifyToken(
  request: SignInRequest,
  options: Pick<PortalConnectionOptions, "trust"> = {},
): Promise<SignIn> {
  const device = request.isGentle ? undefined : await deviceParameters(request);
  const outcome = Promise.withResolvers<SignIn>();
  const connection = new PortalConnection({
    ...options,
    role: "client",
    url: request.apiUrl,
    token: request.token,
    parameters: () => device ?? {},
    onEvent: (event) => {
      try {
        const signIn = read(event, device === undefined);
        if (signIn !== undefined) outcome.resolve(signIn);
      } catch (error) {
        outcome.reject(error);
      }
    },
  });
  const timer = setTimeout(() => {
    const reason = connection.trouble?.reason ?? "it does not answer";
    outcome.reject(unreachable(reason));
  }, LIMIT_MS);
  try {
    connection.start();
    return await outcome.promise;
  } finally {
    clearTimeout(timer);
    await connection.stop();
  }
}

/** Returns what `event` says about the token, undefined if that is nothing yet; throws its end. */
function read(event: ChannelEvent, isGentle: boolean): SignIn | undefined {
  switch (event.type) {
    case "fatal":
      throw event.fault;
    case "hiccup":
      if (isGentle && (event.status === 400 || event.status === 422)) return {};
      return throwIfFinal(event.status, event.reason);
    case "joined":
      return isGentle ? {} : undefined;
    case "message": {
      if (event.event !== "init") return undefined;
      const decoded = decodeClientInbound("init", event.payload);
      if (!decoded.ok || decoded.value.event !== "init") return {};
      const { interface: addresses, resources, account_slug, actor_name } = decoded.value.payload;
      return {
        ...(account_slug === undefined ? {} : { account: { slug: account_slug } }),
        ...(actor_name === undefined ? {} : { actor: { name: actor_name } }),
        resources: resources.length,
        addresses: [String(addresses.ipv4), String(addresses.ipv6)],
      };
    }
  }
}

/** A session would try again for ever; a person at a prompt wants to know. */
function throwIfFinal(status: number | undefined, reason: string): undefined {
  if (status === 402 || status === 403) {
    throw new Fault("rejected", `The portal does not let the token in: ${reason}`, {
      next: "Ask an administrator of the account.",
    });
  }
  if (status === 404) throw unreachable(reason);
}

function unreachable(reason: string): Fault {
  return new Fault("unreachable", `Cannot reach the portal: ${reason}`, {
    next: "Check the network and the portal's URL, then try again.",
  });
}

/** Returns how this machine introduces itself; undefined if it has no identity and cannot keep one. */
async function deviceParameters(request: SignInRequest): Promise<Record<string, string> | undefined> {
  let id: string;
  try {
    id = externalId(await deviceId({ role: "client", configured: request.id }));
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
  return {
    external_id: id,
    name: request.name ?? Deno.hostname(),
    // Of nobody: no tunnel is made of this connection, and the session's own replaces it.
    public_key: toBase64(systemRng.bytes(32)),
  };
}
