/**
 * What an `errno` means to a person: the one place where error numbers become Faults. The names are those of POSIX, the
 * numbers here those of Linux; other systems have theirs in their folders.
 */

import { Fault, type FaultCode } from "../lib/base/fault.ts";

/** Error numbers of Linux (asm-generic/errno.h) that decisions hang on. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  EBADFD: 77,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const;

/** The name of an error that decisions hang on. */
export type ErrnoName = keyof typeof Errno;

/** Returns the text of `errno`, for example "permission denied". */
export function errnoText(errno: number): string {
  return textOf(NAMES.get(errno), errno);
}

/** How a Fault is made of an error. */
export interface FaultOptions {
  readonly code?: FaultCode;
  readonly next?: string;
}

/**
 * Returns the Fault for a system call that failed. `action` starts the sentence ("Cannot open TUN device \"fz0\"");
 * `code` and `next` are used where the error number itself does not say more.
 */
export function faultOf(action: string, errno: number, options: FaultOptions = {}): Fault {
  const next = "Run as root, or give the program the capability CAP_NET_ADMIN.";
  return namedFault(action, NAMES.get(errno), errno, next, options);
}

/** Does the same on any system: `name` is that of `errno` there; `privilegeNext` says how to get a missing privilege. */
export function namedFault(
  action: string,
  name: ErrnoName | undefined,
  errno: number,
  privilegeNext: string,
  { code = "unexpected", next }: FaultOptions = {},
): Fault {
  const message = `${action}: ${textOf(name, errno)}`;
  if (name === "EPERM" || name === "EACCES") return new Fault("privilege", message, { next: privilegeNext });
  return new Fault(code, message, next === undefined ? {} : { next });
}

function textOf(name: ErrnoName | undefined, errno: number): string {
  return name === undefined ? `error ${errno}` : TEXTS[name];
}

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(
  Object.entries(Errno).map(([name, number]) => [number, name as ErrnoName]),
);

const TEXTS: Readonly<Record<ErrnoName, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file",
  ESRCH: "no such entry",
  EINTR: "interrupted",
  EIO: "input/output error",
  ENXIO: "no such device or address",
  EAGAIN: "temporarily unavailable",
  ENOMEM: "out of memory",
  EACCES: "permission denied",
  EBUSY: "it is in use by another process",
  EEXIST: "it exists already",
  ENODEV: "no such device",
  EINVAL: "invalid argument",
  EMFILE: "too many open files",
  EMSGSIZE: "message too long",
  EBADFD: "the device is gone",
  ENOPROTOOPT: "no such option",
  EOPNOTSUPP: "not supported",
  EAFNOSUPPORT: "the system has no support for this address family",
  EADDRINUSE: "the address is in use by another program",
  EADDRNOTAVAIL: "the address is not one of this machine's",
  ENETUNREACH: "network unreachable",
  ENOBUFS: "no buffer space",
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "host unreachable",
};
