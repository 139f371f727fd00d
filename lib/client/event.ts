/** What a client session tells its shell: one variant for each thing a person might want to see or wait for. */

import type { IpAddress, IpNetwork } from "../base/ip.ts";
import type { PathInfo } from "../node/path.ts";

/** Why a gateway is no longer ours. */
export type GatewayLossReason =
  /** It said goodbye. */
  | "goodbye"
  /** Its connection failed; `detail` tells how. */
  | "failed"
  /** Nothing is authorized through it any more. */
  | "unused"
  /** It came back with another key. */
  | "replaced"
  /** Our network or our addresses changed. */
  | "reset"
  | "shutdown";

/** How the TUN device, routes and the system's DNS must be set up. */
export interface InterfaceConfig {
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  /** Networks to route into the TUN device. */
  readonly routes: readonly IpNetwork[];
  readonly dns: {
    readonly sentinels: readonly IpAddress[];
    readonly searchDomain: string | undefined;
    /** A search domain for systems that find no name of one label without; undefined while no resource has such a name. */
    readonly oneLabelDomain: string | undefined;
  };
}

/** Something that happened to a client. */
export type ClientEvent =
  | { readonly type: "interface"; readonly config: InterfaceConfig }
  | { readonly type: "resources-changed" }
  | { readonly type: "authorization-requested"; readonly resourceId: string }
  | { readonly type: "authorization-granted"; readonly resourceId: string; readonly gatewayId: string }
  | {
    readonly type: "authorization-denied";
    readonly resourceId: string;
    /** The portal's word: "offline", "forbidden", "not_found", "version_mismatch", …; "no-relays" is our own. */
    readonly reason: string;
    readonly violatedProperties: readonly string[];
  }
  /** The portal has no gateway of the site online. */
  | { readonly type: "site-offline"; readonly siteId: string; readonly name: string }
  | { readonly type: "gateway-connected"; readonly gatewayId: string; readonly path: PathInfo }
  | { readonly type: "gateway-path-changed"; readonly gatewayId: string; readonly path: PathInfo }
  | {
    readonly type: "gateway-lost";
    readonly gatewayId: string;
    readonly reason: GatewayLossReason;
    readonly detail: string | undefined;
  }
  /** A packet was answered with "administratively prohibited": the resource's filters forbid it. */
  | { readonly type: "filtered"; readonly resourceId: string }
  /** Traffic for a device of a pool was refused: fz cannot reach devices of other users yet. */
  | { readonly type: "device-access-refused"; readonly resourceId: string };
