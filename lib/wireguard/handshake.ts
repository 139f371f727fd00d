/**
 * The two-message handshake, both roles, as functions of their arguments: no clock, no state beyond what is returned.
 * The caller adds the two MACs (`cookie.ts`) and supplies ephemeral keys. Whitepaper §5.4.2, §5.4.3, §5.4.5.
 */

import { writeU32Le } from "../base/bytes.ts";
import {
  decodeInitiation,
  decodeResponse,
  INITIATION_LENGTH,
  MessageType,
  RESPONSE_LENGTH,
} from "../wire/wireguard.ts";
import { dh, publicKeyOf, type StaticKeys, Transcript } from "./noise.ts";

/** What the initiator keeps until the response arrives. */
export interface PendingInitiation {
  readonly localIndex: number;
  readonly ephemeralPrivateKey: Uint8Array;
  readonly transcript: Transcript;
}

/** An initiation whose static key has been read: the node finds the peer by it, the tunnel goes on from here. */
export interface OpenedInitiation {
  /** Static public key of the initiator, not yet authenticated. */
  readonly remotePublicKey: Uint8Array;
  readonly remoteIndex: number;
  readonly remoteEphemeral: Uint8Array;
  readonly encryptedTimestamp: Uint8Array;
  readonly transcript: Transcript;
}

/** The keys of a session, 32 bytes each, and the peer's index of it. */
export interface TransportKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly remoteIndex: number;
}

/** What both roles know of the pair before any message. */
export interface HandshakeParties {
  readonly local: StaticKeys;
  readonly remotePublicKey: Uint8Array;
  /** X25519 of the two static keys. */
  readonly staticShared: Uint8Array;
  readonly presharedKey: Uint8Array;
}

/**
 * Returns an initiation (148 bytes, MACs still zero) and what is needed to read the response, or undefined when the
 * peer's public key is of low order.
 */
export function createInitiation(
  parties: HandshakeParties,
  localIndex: number,
  timestamp: Uint8Array,
  ephemeralPrivateKey: Uint8Array,
): { message: Uint8Array; pending: PendingInitiation } | undefined {
  const transcript = Transcript.start(parties.remotePublicKey);
  const ephemeral = publicKeyOf(ephemeralPrivateKey);
  transcript.mixEphemeral(ephemeral);
  const ephemeralStatic = dh(ephemeralPrivateKey, parties.remotePublicKey);
  if (ephemeralStatic === undefined) return undefined;
  const encryptedStatic = transcript.seal(
    transcript.mixKeyForSealing(ephemeralStatic),
    parties.local.publicKey,
  );
  const encryptedTimestamp = transcript.seal(transcript.mixKeyForSealing(parties.staticShared), timestamp);

  const message = new Uint8Array(INITIATION_LENGTH);
  writeU32Le(message, 0, MessageType.initiation);
  writeU32Le(message, 4, localIndex);
  message.set(ephemeral, 8);
  message.set(encryptedStatic, 40);
  message.set(encryptedTimestamp, 88);
  return { message, pending: { localIndex, ephemeralPrivateKey, transcript } };
}

/**
 * Returns the initiation in `message` with its static key opened, or undefined when it is not meant for us. Whoever has
 * our public key can claim any key here: only the timestamp proves it.
 */
export function openInitiation(local: StaticKeys, message: Uint8Array): OpenedInitiation | undefined {
  const initiation = decodeInitiation(message);
  if (initiation === undefined) return undefined;
  const transcript = Transcript.start(local.publicKey);
  transcript.mixEphemeral(initiation.ephemeral);
  const shared = dh(local.privateKey, initiation.ephemeral);
  if (shared === undefined) return undefined;
  const remotePublicKey = transcript.open(transcript.mixKeyForSealing(shared), initiation.encryptedStatic);
  if (remotePublicKey === undefined) return undefined;
  return {
    remotePublicKey,
    remoteIndex: initiation.sender,
    remoteEphemeral: initiation.ephemeral.slice(),
    encryptedTimestamp: initiation.encryptedTimestamp.slice(),
    transcript,
  };
}

/** Returns the initiator's timestamp (12 bytes), which authenticates it, or undefined when it is forged. Once only. */
export function openTimestamp(parties: HandshakeParties, opened: OpenedInitiation): Uint8Array | undefined {
  const key = opened.transcript.mixKeyForSealing(parties.staticShared);
  return opened.transcript.open(key, opened.encryptedTimestamp);
}

/**
 * Returns the response (92 bytes, MACs still zero) to an initiation after `openTimestamp`, and the session's keys, or
 * undefined when the initiator's ephemeral key is of low order.
 */
export function createResponse(
  parties: HandshakeParties,
  opened: OpenedInitiation,
  localIndex: number,
  ephemeralPrivateKey: Uint8Array,
): { message: Uint8Array; keys: TransportKeys } | undefined {
  const { transcript } = opened;
  const ephemeral = publicKeyOf(ephemeralPrivateKey);
  transcript.mixEphemeral(ephemeral);
  const ephemeralShared = dh(ephemeralPrivateKey, opened.remoteEphemeral);
  const staticShared = dh(ephemeralPrivateKey, opened.remotePublicKey);
  if (ephemeralShared === undefined || staticShared === undefined) return undefined;
  transcript.mixKey(ephemeralShared);
  transcript.mixKey(staticShared);
  const key = transcript.mixPresharedKey(parties.presharedKey);
  const encryptedNothing = transcript.seal(key, new Uint8Array(0));

  const message = new Uint8Array(RESPONSE_LENGTH);
  writeU32Le(message, 0, MessageType.response);
  writeU32Le(message, 4, localIndex);
  writeU32Le(message, 8, opened.remoteIndex);
  message.set(ephemeral, 12);
  message.set(encryptedNothing, 44);
  const [receive, send] = transcript.split();
  transcript.wipe();
  return { message, keys: { send, receive, remoteIndex: opened.remoteIndex } };
}

/**
 * Returns the session's keys from the response to `pending`, or undefined when it is forged or answers another one.
 * `pending` stays usable, so that a forged response does no harm to the handshake.
 */
export function openResponse(
  parties: HandshakeParties,
  pending: PendingInitiation,
  message: Uint8Array,
): TransportKeys | undefined {
  const response = decodeResponse(message);
  if (response === undefined || response.receiver !== pending.localIndex) return undefined;
  const transcript = pending.transcript.clone();
  transcript.mixEphemeral(response.ephemeral);
  const ephemeralShared = dh(pending.ephemeralPrivateKey, response.ephemeral);
  const staticShared = dh(parties.local.privateKey, response.ephemeral);
  if (ephemeralShared === undefined || staticShared === undefined) return undefined;
  transcript.mixKey(ephemeralShared);
  transcript.mixKey(staticShared);
  const key = transcript.mixPresharedKey(parties.presharedKey);
  if (transcript.open(key, response.encryptedNothing) === undefined) return undefined;
  const [send, receive] = transcript.split();
  transcript.wipe();
  return { send, receive, remoteIndex: response.sender };
}

/** Forgets the secrets of an initiation that will not be answered any more. */
export function wipePending(pending: PendingInitiation): void {
  pending.ephemeralPrivateKey.fill(0);
  pending.transcript.wipe();
}
