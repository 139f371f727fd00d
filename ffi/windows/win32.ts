/**
 * Error numbers of Windows (winerror.h) and of its sockets (winsock2.h), as far as decisions hang on them, and what they
 * mean to a person.
 */

import { Fault } from "../../lib/base/fault.ts";
import { type ErrnoName, type FaultOptions, namedFault } from "../errno.ts";

/** Error numbers of the system. */
export const Win32 = {
  success: 0,
  fileNotFound: 2,
  pathNotFound: 3,
  accessDenied: 5,
  invalidHandle: 6,
  notEnoughMemory: 8,
  invalidData: 13,
  handleEof: 38,
  notSupported: 50,
  invalidParameter: 87,
  insufficientBuffer: 122,
  bufferOverflow: 111,
  moduleNotFound: 126,
  alreadyExists: 183,
  moreData: 234,
  noMoreItems: 259,
  notFound: 1168,
  objectAlreadyExists: 5010,
} as const;

/** Error numbers of sockets. */
export const Wsa = {
  interrupted: 10_004,
  accessDenied: 10_013,
  invalidArgument: 10_022,
  tooManyOpen: 10_024,
  wouldBlock: 10_035,
  messageSize: 10_040,
  noProtocolOption: 10_042,
  operationNotSupported: 10_045,
  familyNotSupported: 10_047,
  addressInUse: 10_048,
  addressNotAvailable: 10_049,
  networkDown: 10_050,
  networkUnreachable: 10_051,
  networkReset: 10_052,
  connectionReset: 10_054,
  noBuffers: 10_055,
  hostUnreachable: 10_065,
} as const;

/** What changes the network needs an elevated token. */
export const RUN_ELEVATED = "Run it as administrator: from a terminal opened by “Run as administrator”.";

/** Returns the name of `error`, POSIX's where there is one, for statistics; "E12345" for one without. */
export function errorName(error: number): string {
  return NAMES.get(error) ?? `E${error}`;
}

/** Returns the Fault for a call that failed; `action` starts the sentence, see `faultOf` of Linux. */
export function faultOf(action: string, error: number, options: FaultOptions = {}): Fault {
  const name = NAMES.get(error);
  if (name !== undefined) return namedFault(action, name, error, RUN_ELEVATED, options);
  const { code = "unexpected", next } = options;
  return new Fault(code, `${action}: Windows error ${error}`, next === undefined ? {} : { next });
}

const NAMES: ReadonlyMap<number, ErrnoName> = new Map<number, ErrnoName>([
  [Win32.fileNotFound, "ENOENT"],
  [Win32.pathNotFound, "ENOENT"],
  [Win32.accessDenied, "EACCES"],
  [Win32.notEnoughMemory, "ENOMEM"],
  [Win32.notSupported, "EOPNOTSUPP"],
  [Win32.invalidParameter, "EINVAL"],
  [Win32.alreadyExists, "EEXIST"],
  [Win32.notFound, "ESRCH"],
  [Win32.objectAlreadyExists, "EEXIST"],
  [Wsa.interrupted, "EINTR"],
  [Wsa.accessDenied, "EACCES"],
  [Wsa.invalidArgument, "EINVAL"],
  [Wsa.tooManyOpen, "EMFILE"],
  [Wsa.wouldBlock, "EAGAIN"],
  [Wsa.messageSize, "EMSGSIZE"],
  [Wsa.noProtocolOption, "ENOPROTOOPT"],
  [Wsa.operationNotSupported, "EOPNOTSUPP"],
  [Wsa.familyNotSupported, "EAFNOSUPPORT"],
  [Wsa.addressInUse, "EADDRINUSE"],
  [Wsa.addressNotAvailable, "EADDRNOTAVAIL"],
  [Wsa.networkDown, "ENETUNREACH"],
  [Wsa.networkUnreachable, "ENETUNREACH"],
  [Wsa.connectionReset, "ECONNREFUSED"],
  [Wsa.noBuffers, "ENOBUFS"],
  [Wsa.hostUnreachable, "EHOSTUNREACH"],
]);
