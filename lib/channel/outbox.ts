/**
 * What a client or gateway has to say to its portal. Candidates wait while the portal is away, gathered into one message
 * for each peer; everything else is only worth sending on a connection that is up.
 */

import { Ring } from "../base/ring.ts";

/** Candidates of ours for one peer. */
export interface OwnCandidates {
  readonly peerId: string;
  /** Whether they can be used, or no longer. */
  readonly isValid: boolean;
  readonly candidates: string[];
}

export class Outbox<Message extends { readonly event: string }> {
  readonly #describe: (candidates: OwnCandidates) => Message;
  readonly #messages = new Ring<Message>(MAX_WAITING);
  #candidates: OwnCandidates[] = [];
  #isJoined = false;

  /** `describe` returns the message that tells a peer of candidates. */
  constructor(describe: (candidates: OwnCandidates) => Message) {
    this.#describe = describe;
  }

  get isJoined(): boolean {
    return this.#isJoined;
  }

  handleJoined(): void {
    this.#isJoined = true;
  }

  handleLost(): void {
    this.#isJoined = false;
    this.#messages.takeAll();
  }

  /** Queues a message; returns false, and forgets it, if the portal is away. It leaves before all candidates. */
  send(message: Message): boolean {
    if (this.#isJoined) this.#messages.push(message);
    return this.#isJoined;
  }

  /** Like `send`, unless a message of the same name waits already. */
  sendOnce(message: Message): void {
    if (![...this.#messages].some(({ event }) => event === message.event)) this.send(message);
  }

  /** Tells `peerId` of one of our candidates, or that it is none any more. */
  signal(peerId: string, candidate: string, isValid: boolean): void {
    const last = this.#candidates.at(-1);
    const isSame = last?.peerId === peerId && last.isValid === isValid &&
      last.candidates.length < MAX_CANDIDATES;
    if (isSame) {
      if (!last.candidates.includes(candidate)) last.candidates.push(candidate);
      return;
    }
    if (this.#candidates.length >= MAX_WAITING) this.#candidates.shift();
    this.#candidates.push({ peerId, isValid, candidates: [candidate] });
  }

  /** Forgets candidates for `peerId`: its connection is gone. */
  forgetPeer(peerId: string): void {
    this.#candidates = this.#candidates.filter((each) => each.peerId !== peerId);
  }

  /** Returns the next message; undefined while the portal is away. */
  poll(): Message | undefined {
    if (!this.#isJoined) return undefined;
    const message = this.#messages.shift();
    if (message !== undefined) return message;
    const next = this.#candidates.shift();
    return next && this.#describe(next);
  }
}

const MAX_WAITING = 1024;
/** Of one message. */
const MAX_CANDIDATES = 64;
