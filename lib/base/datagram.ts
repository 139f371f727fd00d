/** UDP datagrams as the machines see them. */

import type { SocketAddress } from "./ip.ts";

/** A datagram to send. */
export interface Datagram {
  /** The address to send from: one of our own socket's. Undefined leaves the choice to the kernel. */
  readonly local: SocketAddress | undefined;
  readonly remote: SocketAddress;
  /** Valid until the next call into the machine that returned it: the sender copies or sends at once. */
  readonly payload: Uint8Array;
}
