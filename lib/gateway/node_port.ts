/** What a gateway session needs of the node below it. `Node` of lib/node is such; tests bring their own. */

import type { Node } from "../node/node.ts";

/** The part of `Node` that gateways use. */
export type GatewayNode = Pick<
  Node,
  | "setRelays"
  | "handleRelays"
  | "upsertConnection"
  | "addRemoteCandidate"
  | "removeRemoteCandidate"
  | "encapsulate"
  | "handleDatagram"
  | "closeConnection"
  | "sayGoodbye"
  | "close"
  | "handleTimeout"
  | "pollTimeout"
  | "pollDatagram"
  | "pollEvent"
  | "status"
>;
