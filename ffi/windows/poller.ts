/** Waiting on the real system: WaitForMultipleObjects, on one of the runtime's own threads where nothing must stand still. */

import { arena } from "../memory.ts";
import type { Poller } from "../platform.ts";
import { EventPoller, MAX_EVENTS, type WaitKernel } from "./event_poller.ts";
import { kernel32, readU64, withMemory } from "./symbols.ts";
import { faultOf } from "./win32.ts";

/** Returns a new poller with no sources. */
export function createPoller(): Poller {
  return new EventPoller(waitKernel());
}

/** Makes an event that resets itself; returns its handle. Throws a Fault. */
export function createEvent(): number {
  const handle = Number(kernel32.CreateEventW(0n, 0, 0, 0n));
  if (handle === 0) throw faultOf("Cannot create an event", kernel32.GetLastError());
  return handle;
}

function waitKernel(): WaitKernel {
  const places = arena.allocate(MAX_EVENTS * 8);
  const addressOf = (index: number) => arena.address(places + index * 8);
  return {
    createEvent,
    setEvent: (handle) => void kernel32.SetEvent(BigInt(handle)),
    duplicate,
    close: (handle) => void kernel32.CloseHandle(BigInt(handle)),
    place: (index, handle) => arena.setU64(places + index * 8, handle),
    wait: (first, count, timeoutMs) =>
      kernel32.WaitForMultipleObjects(count, addressOf(first), 0, milliseconds(timeoutMs)),
    waitElsewhere: (count, timeoutMs) =>
      kernel32.WaitForMultipleObjects_elsewhere(count, addressOf(0), 0, milliseconds(timeoutMs)),
    end: () => arena.release(places, MAX_EVENTS * 8),
  };
}

function duplicate(handle: number): number {
  const self = kernel32.GetCurrentProcess();
  return withMemory(8, (at, address) => {
    const made = kernel32.DuplicateHandle(self, BigInt(handle), self, address, 0, 0, SAME_ACCESS);
    return made === 0 ? 0 : Number(readU64(at));
  });
}

function milliseconds(timeoutMs: number | undefined): number {
  return timeoutMs === undefined ? INFINITE : Math.max(0, Math.min(Math.ceil(timeoutMs), INFINITE - 1));
}

const INFINITE = 0xffff_ffff;
const SAME_ACCESS = 2;
