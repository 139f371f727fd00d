/** What a client session needs of the node below it. `Node` of lib/node is such; tests bring their own. */

import type { Node } from "../node/node.ts";

/** The part of `Node` that clients use. */
export type ClientNode = Pick<
  Node,
  | "hasRelay"
  | "relaysHeardAt"
  | "setRelays"
  | "handleRelays"
  | "hurry"
  | "upsertConnection"
  | "addRemoteCandidate"
  | "removeRemoteCandidate"
  | "encapsulate"
  | "handleDatagram"
  | "isConnected"
  | "hasConnection"
  | "closeConnection"
  | "sayGoodbye"
  | "reset"
  | "close"
  | "handleTimeout"
  | "pollTimeout"
  | "pollDatagram"
  | "pollEvent"
  | "status"
>;
