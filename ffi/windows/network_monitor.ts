/**
 * Tells of changes of the machine's network: the IP Helper calls a function of ours after changes of routes, addresses and
 * interfaces (netioapi.h). It calls on threads of its own, where no JavaScript may run: so the function is the system's
 * SetEvent, and its first argument, the caller's context, an event that a poller waits for.
 */

import type { NetworkMonitor } from "../platform.ts";
import { monitorEvents } from "./event_monitor.ts";
import { createEvent, createPoller } from "./poller.ts";
import { functionAddress, iphlpapi, kernel32, readU64, withMemory } from "./symbols.ts";

/**
 * Calls `onChange` after changes; many may be one call. Undefined where the system does not tell. Throws a Fault if there
 * is nothing to wait by.
 */
export function watchNetwork(onChange: () => void): NetworkMonitor | undefined {
  const setEvent = functionAddress("kernel32.dll", "SetEvent");
  return monitorEvents({
    createEvent,
    closeEvent: (event) => void kernel32.CloseHandle(BigInt(event)),
    subscriptions: [
      iphlpapi.NotifyRouteChange2,
      iphlpapi.NotifyUnicastIpAddressChange,
      iphlpapi.NotifyIpInterfaceChange,
    ].map((subscribe) => (event) =>
      withMemory(
        8,
        (at, out) => subscribe(AF_UNSPEC, setEvent, BigInt(event), 0, out) === 0 ? readU64(at) : undefined,
      )
    ),
    cancel: (subscription) => void iphlpapi.CancelMibChangeNotify2(subscription),
    createPoller,
  }, onChange);
}

const AF_UNSPEC = 0;
