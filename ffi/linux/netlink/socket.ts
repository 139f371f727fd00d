/**
 * A socket to the kernel's network configuration (netlink(7), rtnetlink(7)). The kernel does what it is asked while
 * it is being asked, and has the answer ready: nothing here waits. All sockets share one buffer each way.
 */

import { assert } from "../../../lib/base/assert.ts";
import { concatBytes } from "../../../lib/base/bytes.ts";
import { Errno, errnoText, faultOf } from "../../errno.ts";
import { arena } from "../../memory.ts";
import { errno, libc } from "../symbols.ts";
import {
  encodeMessage,
  type Message,
  MessageFlag,
  type NetlinkError,
  readMessages,
  readVerdict,
  type Request,
  type Verdict,
} from "./message.ts";

/** Makes a value of a message; undefined where it is not wanted. The body is valid until it returns. */
export type Reader<T> = (type: number, body: Uint8Array) => T | undefined;

/** One socket for requests. */
export class NetlinkSocket {
  /** The kernel leaves out what a listing did not ask for; else it is for the reader to leave out. */
  readonly isStrict: boolean;
  #descriptor: number;
  #sequence = 0;

  /** `isStrict`: whether to ask for that, default true. Throws a Fault ("unexpected") if there is none to be had. */
  constructor({ isStrict = true }: { readonly isStrict?: boolean } = {}) {
    this.#descriptor = openNetlink(0);
    setOption(this.#descriptor, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setOption(this.#descriptor, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    this.isStrict = isStrict && setOption(this.#descriptor, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    setOption(this.#descriptor, SOL_SOCKET, SO_RCVBUF, RECEIVE_QUEUE);
  }

  close(): void {
    if (this.#descriptor >= 0) libc.close(this.#descriptor);
    this.#descriptor = -1;
  }

  /**
   * Returns everything that a listing has. Asks again, a few times, where it changed meanwhile. Empty where the kernel
   * lacks what is listed. Throws a Fault ("unexpected", "privilege").
   */
  dump<T>(request: Request, read: Reader<T>): T[] {
    for (let attempt = 1;; attempt++) {
      const found: T[] = [];
      const { verdict, isInterrupted } = this.#exchange(request, read, found);
      const isWhole = verdict.errno === 0 && !isInterrupted;
      if (isWhole || attempt === ATTEMPTS && verdict.errno === 0 || ABSENT.includes(verdict.errno)) {
        return found;
      }
      if (attempt < ATTEMPTS && (isInterrupted || TRANSIENT.includes(verdict.errno))) continue;
      throw faultOf("Cannot list the machine's network", verdict.errno);
    }
  }

  /** Returns the one thing that `request` asks for, undefined where there is none. Asks again, a few times, where that may help. */
  get<T>(request: Request, read: Reader<T>): T | undefined {
    const flags = request.flags | MessageFlag.acknowledge;
    for (let attempt = 1;; attempt++) {
      const found: T[] = [];
      const { verdict } = this.#exchange({ ...request, flags }, read, found);
      if (attempt === ATTEMPTS || !TRANSIENT.includes(verdict.errno)) return found[0];
    }
  }

  /** Makes changes, each even if one before it was refused. Returns the refusals in the same order. */
  change(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const outcomes: (NetlinkError | undefined)[] = [];
    for (let from = 0; from < requests.length; from += BATCH) {
      outcomes.push(...this.#changeSome(requests.slice(from, from + BATCH)));
    }
    return outcomes;
  }

  #changeSome(requests: readonly Request[]): (NetlinkError | undefined)[] {
    const first = this.#sequence + 1;
    const messages = requests.map(({ type, flags, body }) => {
      const all = flags | MessageFlag.request | MessageFlag.acknowledge;
      return encodeMessage({ type, flags: all, body }, this.#nextSequence());
    });
    const verdicts = new Map<number, Verdict>();
    let failure = this.#send(concatBytes(...messages));
    for (let part = 0; failure === 0 && verdicts.size < requests.length && part < MAX_PARTS; part++) {
      const received = this.#receive();
      if (typeof received === "number") failure = received;
      else {
        for (const message of received) {
          const verdict = readVerdict(message);
          const isOurs = message.sequence >= first && message.sequence < first + requests.length;
          if (verdict !== undefined && isOurs) verdicts.set(message.sequence, verdict);
        }
      }
    }
    return requests.map((_, index) => refusalOf(verdicts.get(first + index) ?? lost(failure)));
  }

  /** Sends `request` and reads all that belongs to it. */
  #exchange<T>(
    request: Request,
    read: Reader<T>,
    found: T[],
  ): { readonly verdict: Verdict; readonly isInterrupted: boolean } {
    const sequence = this.#nextSequence();
    const flags = request.flags | MessageFlag.request;
    let failure = this.#send(encodeMessage({ ...request, flags }, sequence));
    let isInterrupted = false;
    for (let part = 0; failure === 0 && part < MAX_PARTS; part++) {
      const received = this.#receive();
      if (typeof received === "number") {
        failure = received;
        break;
      }
      for (const message of received) {
        if (message.sequence !== sequence) continue;
        if ((message.flags & MessageFlag.dumpInterrupted) !== 0) isInterrupted = true;
        const verdict = readVerdict(message);
        if (verdict !== undefined) return { verdict, isInterrupted };
        const value = read(message.type, message.body);
        if (value !== undefined && found.length < MAX_ENTRIES) found.push(value);
      }
    }
    this.#drain();
    return { verdict: lost(failure), isInterrupted };
  }

  /** Returns 0, or why `bytes` could not be sent. */
  #send(bytes: Uint8Array): number {
    if (this.#descriptor < 0) return Errno.EBADFD;
    assert(bytes.length <= SEND_CAPACITY, "a batch fits the buffer");
    const { send } = buffers();
    arena.bytes.set(bytes, send);
    const length = libc.sendto(this.#descriptor, arena.address(send), bytes.length, 0, 0n, 0);
    return length < 0 ? errno() : 0;
  }

  /** Returns the messages of one part, or why there is none. */
  #receive(): Message[] | number {
    const bytes = receiveFromKernel(this.#descriptor);
    return typeof bytes === "number" ? bytes : readMessages(bytes);
  }

  /** What is left of an answer would be in the way of the next one. */
  #drain(): void {
    for (let part = 0; part < MAX_PARTS; part++) {
      const received = this.#receive();
      if (typeof received === "number" && received !== Errno.ENOBUFS) return;
    }
  }

  #nextSequence(): number {
    return this.#sequence = this.#sequence % MAX_SEQUENCE + 1;
  }
}

/** Returns a socket that hears of `groups`, a bit each. Throws a Fault. */
export function openNetlink(groups: number): number {
  const descriptor = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (descriptor < 0) throw faultOf("Cannot open a netlink socket", errno());
  const { name } = buffers();
  arena.bytes.fill(0, name, name + SOCKADDR_NL);
  arena.setU16(name, AF_NETLINK);
  arena.setU32(name + 8, groups);
  if (libc.bind(descriptor, arena.address(name), SOCKADDR_NL) === 0) return descriptor;
  const failure = errno();
  libc.close(descriptor);
  throw faultOf("Cannot bind a netlink socket", failure);
}

/**
 * Returns the next bytes that the kernel sent to `descriptor`, valid until the next call, or the error's number:
 * EAGAIN where there are none. What processes sent is passed over.
 */
export function receiveFromKernel(descriptor: number): Uint8Array | number {
  const { name, nameLength, receive } = buffers();
  for (let attempt = 0; attempt < MAX_FOREIGN; attempt++) {
    arena.setU32(nameLength, SOCKADDR_NL);
    const length = libc.recvfrom(
      descriptor,
      arena.address(receive),
      RECEIVE_CAPACITY,
      MSG_DONTWAIT | MSG_TRUNC,
      arena.address(name),
      arena.address(nameLength),
    );
    if (length < 0) {
      const failure = errno();
      if (failure === Errno.EINTR) continue;
      return failure;
    }
    if (arena.getU32(name + 4) !== 0) continue;
    return length > RECEIVE_CAPACITY ? Errno.EMSGSIZE : arena.bytes.subarray(receive, receive + length);
  }
  return Errno.EAGAIN;
}

function setOption(descriptor: number, level: number, option: number, value: number): boolean {
  const { name } = buffers();
  arena.setU32(name, value);
  return libc.setsockopt(descriptor, level, option, arena.address(name), 4) === 0;
}

function refusalOf({ errno, text }: Verdict): NetlinkError | undefined {
  return errno === 0 ? undefined : { errno, text: text ?? errnoText(errno) };
}

/** The verdict on a request that the kernel did not answer. */
function lost(failure: number): Verdict {
  return { errno: failure === 0 ? Errno.EIO : failure, text: undefined };
}

interface Buffers {
  readonly name: number;
  readonly nameLength: number;
  readonly send: number;
  readonly receive: number;
}

let allocated: Buffers | undefined;

function buffers(): Buffers {
  return allocated ??= {
    name: arena.allocate(SOCKADDR_NL),
    nameLength: arena.allocate(4),
    send: arena.allocate(SEND_CAPACITY),
    receive: arena.allocate(RECEIVE_CAPACITY),
  };
}

/** How often a listing is asked for that changes under our hands. */
const ATTEMPTS = 6;
/** Requests that are sent at once: their answers fit the queue. */
const BATCH = 100;
/** Bounds on what one listing may hold: a million routes, at 32 KiB a part. */
const MAX_ENTRIES = 2 ** 20;
const MAX_PARTS = 2 ** 14;
const MAX_FOREIGN = 64;
const MAX_SEQUENCE = 2 ** 31;

/** Longest part of a listing is 32 KiB (af_netlink.c, netlink_dump). */
const RECEIVE_CAPACITY = 65_536;
const SEND_CAPACITY = 32_768;
const RECEIVE_QUEUE = 2 ** 20;

/** The kernel lacks the family, the table, or the kind of thing. */
const ABSENT: readonly number[] = [Errno.EOPNOTSUPP, Errno.EAFNOSUPPORT, Errno.ENOENT];
const TRANSIENT: readonly number[] = [Errno.EINTR, Errno.EBUSY, Errno.ENOBUFS, Errno.EAGAIN];

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOCKADDR_NL = 12;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
