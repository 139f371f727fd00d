/** Events of kqueue(2) as bytes: `struct kevent` of 64-bit Darwin (sys/event.h). */

/** Bytes of one event. */
export const KEVENT_LENGTH = 32;

/** `filter`. */
export const EventFilter = { read: -1, user: -10 } as const;

/** `flags`; each event is also asked for with its result in the call's. */
export const EventFlag = { add: 0x1, delete: 0x2, clear: 0x20, error: 0x4000 } as const;

/** `fflags` that sets off an event of ours. */
export const NOTE_TRIGGER = 0x0100_0000;

/** What a change or an event says. */
export interface KernelEvent {
  /** The descriptor, or a number of ours. */
  readonly identifier: number;
  readonly filter: number;
  readonly flags: number;
  readonly filterFlags?: number;
}

/** Writes `event` at `at`. */
export function writeKernelEvent(data: DataView, at: number, event: KernelEvent): void {
  for (let index = 0; index < KEVENT_LENGTH; index += 4) data.setUint32(at + index, 0, true);
  data.setUint32(at, event.identifier, true);
  data.setInt16(at + 8, event.filter, true);
  data.setUint16(at + 10, event.flags, true);
  data.setUint32(at + 12, event.filterFlags ?? 0, true);
}

/** Returns what the event at `at` is about if it is about reading a descriptor, else undefined. */
export function readableDescriptor(data: DataView, at: number): number | undefined {
  const isFailure = (data.getUint16(at + 10, true) & EventFlag.error) !== 0;
  return data.getInt16(at + 8, true) === EventFilter.read && !isFailure
    ? data.getUint32(at, true)
    : undefined;
}
