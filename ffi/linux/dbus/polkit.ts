/** Asks polkit what we may do, before anything is tried (polkit(8), "org.freedesktop.PolicyKit1.Authority"). */

import { Variant } from "../../../lib/wire/dbus/value.ts";
import type { Bus, BusError } from "./bus.ts";
import { ownUser } from "./properties.ts";

const NAMES_OF_REFUSALS: ReadonlySet<string> = new Set([
  "org.freedesktop.DBus.Error.AccessDenied",
  "org.freedesktop.DBus.Error.AuthFailed",
  "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
  "org.freedesktop.PolicyKit1.Error.NotAuthorized",
  "org.freedesktop.NetworkManager.Device.PermissionDenied",
  "org.freedesktop.NetworkManager.PermissionDenied",
]);

/** Returns whether a service refused because of who we are. */
export function isRefusal({ name }: BusError): boolean {
  return NAMES_OF_REFUSALS.has(name);
}

/** Returns the first of `actions` that polkit does not let us do without a password; undefined if there is none. */
export async function refusedAction(bus: Bus, actions: readonly string[]): Promise<string | undefined> {
  // The services do not ask polkit about root, and a user without polkit is refused by them.
  if (await ownUser(bus) === 0) return undefined;
  for (const action of actions) {
    const answer = await bus.call({
      destination: "org.freedesktop.PolicyKit1",
      path: "/org/freedesktop/PolicyKit1/Authority",
      interface: "org.freedesktop.PolicyKit1.Authority",
      member: "CheckAuthorization",
      signature: "(sa{sv})sa{ss}us",
      body: [
        ["system-bus-name", new Map([["name", new Variant("s", bus.uniqueName)]])],
        ...[action, new Map(), 0, ""],
      ],
    });
    const result = answer.ok ? answer.value[0] : undefined;
    if (!Array.isArray(result) || result[0] !== true) return action;
  }
  return undefined;
}
