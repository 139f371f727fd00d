/** Waiting for events on a model of WaitForMultipleObjects. */

import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import {
  EventPoller,
  type EventSource,
  WAIT_FAILED,
  type WaitKernel,
} from "../../ffi/windows/event_poller.ts";

const TIMEOUT = 0x102;

/** Events that reset themselves; a wait on another thread uses the places as they were when it began. */
class ModelWait implements WaitKernel {
  /** Which event a handle is of, and which events are set. */
  readonly events = new Map<number, number>();
  readonly set = new Set<number>();
  readonly places: number[] = [];
  #next = 100;
  #waiting: { handles: number[]; done: (index: number) => void } | undefined;
  isEnded = false;
  isBroken = false;

  createEvent(): number {
    const handle = this.#next++;
    this.events.set(handle, handle);
    return handle;
  }

  setEvent(handle: number): void {
    this.set.add(this.events.get(handle)!);
    const { handles, done } = this.#waiting ?? {};
    const index = handles === undefined ? TIMEOUT : this.#take(handles);
    if (index === TIMEOUT) return;
    this.#waiting = undefined;
    done!(index);
  }

  duplicate(handle: number): number {
    const event = this.events.get(handle);
    if (event === undefined) return 0;
    const made = this.#next++;
    this.events.set(made, event);
    return made;
  }

  close(handle: number): void {
    assert.ok(this.#waiting?.handles.includes(handle) !== true, "a handle is closed while it is waited for");
    assert.ok(this.events.delete(handle), "a handle is closed once");
  }

  place(index: number, handle: number): void {
    this.places[index] = handle;
  }

  wait(first: number, count: number, _timeoutMs: number | undefined): number {
    return this.#take(this.places.slice(first, first + count));
  }

  waitElsewhere(count: number, timeoutMs: number | undefined): Promise<number> {
    const handles = this.places.slice(0, count);
    const index = this.#take(handles);
    if (index !== TIMEOUT || timeoutMs === 0) return Promise.resolve(index);
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#waiting = { handles, done: resolve };
    const own = this.#waiting;
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      if (this.#waiting === own) this.#waiting = undefined;
      resolve(TIMEOUT);
    }, timeoutMs);
    return promise.finally(() => clearTimeout(timer));
  }

  end(): void {
    this.isEnded = true;
  }

  #take(handles: readonly number[]): number {
    if (this.isBroken) return WAIT_FAILED;
    const index = handles.findIndex((handle) => this.set.has(this.events.get(handle)!));
    if (index < 0) return TIMEOUT;
    this.set.delete(this.events.get(handles[index]!)!);
    return index;
  }
}

/** A source with messages in it; like a socket it sets its event when one comes. */
class Mailbox implements EventSource {
  readonly descriptor: number;
  isReady = false;
  readonly #kernel: ModelWait;
  #messages = 0;

  constructor(kernel: ModelWait) {
    this.#kernel = kernel;
    this.descriptor = kernel.createEvent();
  }

  put(count = 1): void {
    this.#messages += count;
    this.#kernel.setEvent(this.descriptor);
  }

  receive(): boolean {
    this.isReady = this.#messages > 0;
    if (this.isReady) this.#messages--;
    return this.isReady;
  }

  drain(): void {
    while (this.receive());
  }
}

function open(count: number) {
  const kernel = new ModelWait();
  const poller = new EventPoller(kernel);
  const boxes = Array.from({ length: count }, () => new Mailbox(kernel));
  for (const box of boxes) {
    poller.add(box);
    box.drain();
  }
  return { kernel, poller, boxes };
}

Deno.test("EventPoller.wait: tells of all sources that are set, not of the first alone", async () => {
  const { poller, boxes } = open(4);
  boxes[3]!.put();
  boxes[1]!.put();
  assert.deepEqual(await poller.wait(undefined), [boxes[1], boxes[3]]);
  for (const box of boxes) box.drain();
  const pending = poller.wait(undefined);
  boxes[2]!.put();
  assert.deepEqual(await pending, [boxes[2]]);
  await poller.close();
});

Deno.test("EventPoller.wait: tells of a source again until it is dry, though its event was consumed", async () => {
  const { poller, boxes: [box] } = open(1);
  box!.put(2);
  assert.deepEqual(await poller.wait(undefined), [box]);
  assert.equal(box!.receive(), true);
  assert.deepEqual(await poller.wait(undefined), [box]);
  box!.drain();
  assert.deepEqual(poller.poll(0), []);
  await poller.close();
});

Deno.test("EventPoller.add: does not miss what came before, whoever has seen the event", async () => {
  const { kernel, poller } = open(1);
  const [late, moved] = [new Mailbox(kernel), new Mailbox(kernel)];
  late.put();
  poller.add(late);
  assert.deepEqual(await poller.wait(undefined), [late]);
  late.drain();
  const other = new EventPoller(kernel);
  other.add(moved);
  moved.put();
  assert.deepEqual(other.poll(0), [moved]);
  await other.close();
  poller.add(moved);
  assert.deepEqual(await poller.wait(undefined), [moved]);
  await poller.close();
});

Deno.test("EventPoller: sources come and go while somebody waits, and no handle is closed under him", async () => {
  const { kernel, poller, boxes } = open(2);
  const pending = poller.wait(undefined);
  poller.remove(boxes[0]!);
  // Its owner may close his handle at once.
  kernel.close(boxes[0]!.descriptor);
  const added = new Mailbox(kernel);
  poller.add(added);
  added.put();
  assert.deepEqual(await pending, [added]);
  added.drain();
  const next = poller.wait(undefined);
  boxes[1]!.put();
  assert.deepEqual(await next, [boxes[1]]);
  await poller.close();
  // Theirs are left, ours are gone.
  assert.deepEqual([...kernel.events.keys()].sort(), [boxes[1]!.descriptor, added.descriptor].sort());
});

Deno.test("EventPoller.wait: ends after its time, also when sources came meanwhile", async () => {
  const { kernel, poller } = open(1);
  const pending = poller.wait(1);
  poller.add(new Mailbox(kernel));
  assert.deepEqual(await pending, []);
  assert.deepEqual(await poller.wait(0), []);
  await poller.close();
});

Deno.test("EventPoller.wake: is not lost when sources come at the same time", async () => {
  const { kernel, poller } = open(1);
  const pending = poller.wait(undefined);
  poller.add(new Mailbox(kernel));
  poller.wake();
  assert.deepEqual(await pending, []);
  await poller.close();
});

Deno.test("EventPoller.wake: ends a pending wait, or the next one; close ends it for good", async () => {
  const { kernel, poller, boxes: [box] } = open(1);
  const pending = poller.wait(undefined);
  poller.wake();
  assert.deepEqual(await pending, []);
  poller.wake();
  assert.deepEqual(await poller.wait(undefined), []);
  const last = poller.wait(undefined);
  await poller.close();
  assert.deepEqual(await last, []);
  assert.equal(kernel.isEnded, true);
  box!.put();
  assert.deepEqual(await poller.wait(undefined), []);
  assert.deepEqual(poller.poll(0), []);
  await poller.close();
});

Deno.test("EventPoller: a system that cannot wait is a failure, not an empty wait without end", async () => {
  const { kernel, poller, boxes: [box] } = open(1);
  const isFault = (error: unknown) => error instanceof Fault && /Cannot wait/.test(error.message);
  kernel.isBroken = true;
  await assert.rejects(poller.wait(undefined), isFault);
  assert.throws(() => poller.poll(1), isFault);
  kernel.isBroken = false;
  box!.put();
  assert.deepEqual(await poller.wait(undefined), [box]);
  kernel.isBroken = true;
  await poller.close();
  assert.equal(kernel.isEnded, true);
});

Deno.test("EventPoller.add: has a bound, which is Windows'", async () => {
  const { kernel, poller } = open(63);
  assert.throws(
    () => poller.add(new Mailbox(kernel)),
    (error) => error instanceof Fault && /63/.test(error.message),
  );
  await poller.close();
});
