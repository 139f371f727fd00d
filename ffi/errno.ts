/** What an `errno` of Linux means to a person: the one place where error numbers become Faults. */

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

/** Returns the text of `errno`, for example "permission denied". */
export function errnoText(errno: number): string {
  return TEXTS.get(errno) ?? `error ${errno}`;
}

/**
 * Returns the Fault for a system call that failed. `action` starts the sentence ("Cannot open TUN device \"fz0\"");
 * `code` and `next` are used where the error number itself does not say more.
 */
export function faultOf(
  action: string,
  errno: number,
  options: { code?: FaultCode; next?: string } = {},
): Fault {
  const message = `${action}: ${errnoText(errno)}`;
  if (errno === Errno.EPERM || errno === Errno.EACCES) {
    return new Fault("privilege", message, {
      next: "Run as root, or give the program the capability CAP_NET_ADMIN.",
    });
  }
  return new Fault(
    options.code ?? "unexpected",
    message,
    options.next === undefined ? {} : { next: options.next },
  );
}

const TEXTS = new Map<number, string>([
  [Errno.EPERM, "operation not permitted"],
  [Errno.ENOENT, "no such file"],
  [Errno.ESRCH, "no such entry"],
  [Errno.EINTR, "interrupted"],
  [Errno.EIO, "input/output error"],
  [Errno.ENXIO, "no such device or address"],
  [Errno.EAGAIN, "temporarily unavailable"],
  [Errno.ENOMEM, "out of memory"],
  [Errno.EACCES, "permission denied"],
  [Errno.EBUSY, "it is in use by another process"],
  [Errno.EEXIST, "it exists already"],
  [Errno.ENODEV, "no such device"],
  [Errno.EINVAL, "invalid argument"],
  [Errno.EMFILE, "too many open files"],
  [Errno.EMSGSIZE, "message too long"],
  [Errno.EBADFD, "the device is gone"],
  [Errno.ENOPROTOOPT, "no such option"],
  [Errno.EOPNOTSUPP, "not supported"],
  [Errno.EAFNOSUPPORT, "the system has no support for this address family"],
  [Errno.EADDRINUSE, "the address is in use by another program"],
  [Errno.EADDRNOTAVAIL, "the address is not one of this machine's"],
  [Errno.ENETUNREACH, "network unreachable"],
  [Errno.ENOBUFS, "no buffer space"],
  [Errno.ECONNREFUSED, "connection refused"],
  [Errno.EHOSTUNREACH, "host unreachable"],
]);
