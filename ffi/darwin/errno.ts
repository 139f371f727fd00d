/** Error numbers of Darwin (sys/errno.h): equal to Linux's up to 34, others from there on. */

import type { Fault } from "../../lib/base/fault.ts";
import { type ErrnoName, type FaultOptions, namedFault } from "../errno.ts";

/** Error numbers that decisions hang on. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  EAGAIN: 35,
  EMSGSIZE: 40,
  ENOPROTOOPT: 42,
  EOPNOTSUPP: 102,
  EAFNOSUPPORT: 47,
  EADDRINUSE: 48,
  EADDRNOTAVAIL: 49,
  ENETUNREACH: 51,
  ENOBUFS: 55,
  ECONNREFUSED: 61,
  EHOSTUNREACH: 65,
} as const;

/** Returns the name of `errno`, for statistics; "E12345" for one without. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

/** Returns the Fault for a system call that failed; see `faultOf` of Linux. */
export function faultOf(action: string, errno: number, options: FaultOptions = {}): Fault {
  return namedFault(action, NAMES.get(errno), errno, RUN_AS_ROOT, options);
}

/** macOS knows no capabilities: what changes the network needs root. */
export const RUN_AS_ROOT = "Run as root: sudo fz …";

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(
  Object.entries(Errno).map(([name, number]) => [number, name as ErrnoName]),
);
