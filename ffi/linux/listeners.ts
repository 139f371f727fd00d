/**
 * TCP ports that programs of this machine listen on, as /proc/net/tcp has them (proc_pid_net(5)). Those reached by the
 * loopback alone do not count.
 */

/** Returns the ports in ascending order, at most 32; none where the kernel does not tell. */
export function readListeners(
  files: readonly string[] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"],
): number[] {
  const ports = new Set(files.flatMap((file) => parseListeners(readStart(file))));
  return [...ports].sort((one, other) => one - other).slice(0, MAX_PORTS);
}

/** Returns the ports in the text of one file, as far as it is there. */
export function parseListeners(text: string): number[] {
  const ports: number[] = [];
  for (const [, address, port, state] of text.matchAll(LINE)) {
    // The kernel lists all listening sockets before any other.
    if (state !== LISTENING) break;
    if (!LOOPBACK.test(address!)) ports.push(parseInt(port!, 16));
  }
  return ports;
}

/** Number, local address and port, remote address and port, state. Addresses are words of the machine's byte order. */
const LINE = /^ *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm;
const LISTENING = "0A";
/** 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104. */
const LOOPBACK = /^([0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F)$/;
/** The kernel looks at rules one after the other. */
const MAX_PORTS = 32;
/** Some four hundred sockets. */
const MAX_LENGTH = 65_536;

/** Returns the start of a file that may be as long as the machine has connections; "" where there is none. */
function readStart(path: string): string {
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(MAX_LENGTH);
    let length = 0;
    while (length < bytes.length) {
      const count = file.readSync(bytes.subarray(length));
      if (count === null) break;
      length += count;
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  } catch {
    return "";
  }
}
