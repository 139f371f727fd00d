/** Messages to the supervisor that started this program: datagrams to a Unix socket (sd_notify(3)). */

import { arena } from "../memory.ts";
import { libc } from "./symbols.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

/** `sun_path` of unix(7). */
const PATH_CAPACITY = 108;
const SOCKADDR_CAPACITY = 2 + PATH_CAPACITY;
const MAX_MESSAGE = 4096;

/**
 * Sends `text` to the socket at `path`; one that begins with "@" is in the abstract namespace. Returns whether it left:
 * a supervisor that has gone or does not read must not stop anybody.
 */
export function sendNotice(path: string, text: string): boolean {
  const name = new TextEncoder().encode(path);
  const message = new TextEncoder().encode(text);
  if (name.length === 0 || name.length >= PATH_CAPACITY || message.length > MAX_MESSAGE) return false;
  const isAbstract = path.startsWith("@");
  const descriptor = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  const address = arena.allocate(SOCKADDR_CAPACITY);
  const payload = arena.allocate(MAX_MESSAGE);
  try {
    arena.setU16(address, AF_UNIX);
    arena.bytes.set(name, address + 2);
    if (isAbstract) arena.bytes[address + 2] = 0;
    arena.bytes.set(message, payload);
    // An abstract name is as long as it is said to be; a path ends with a zero.
    const length = 2 + name.length + (isAbstract ? 0 : 1);
    const sent = libc.sendto(
      descriptor,
      arena.address(payload),
      message.length,
      MSG_NOSIGNAL | MSG_DONTWAIT,
      arena.address(address),
      length,
    );
    return sent === message.length;
  } finally {
    arena.release(payload, MAX_MESSAGE);
    arena.release(address, SOCKADDR_CAPACITY);
    libc.close(descriptor);
  }
}
