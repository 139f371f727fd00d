/** What the logic of this folder needs of the kernel; `native_kernel.ts` is the real one. */

import type { Family } from "../../lib/base/ip.ts";
import type { IoctlRequest } from "./interface_request.ts";

/** Routes and interfaces. Every call answers at once; an error number of 0 is success. */
export interface RouteKernel {
  /** Returns the routing table of one family (sysctl(3), NET_RT_DUMP); empty where it cannot be read. */
  dumpRoutes(family: Family): Uint8Array;
  /** Gives `message` to the routing socket; returns the error number. */
  sendRoute(message: Uint8Array): number;
  /** Asks a socket of `family`; returns the error number. */
  control(family: Family, request: IoctlRequest): number;
  /** Returns the index of the interface `name`; 0 if there is none. */
  interfaceIndex(name: string): number;
  /** Returns the name of an interface. */
  interfaceName(index: number): string | undefined;
}
