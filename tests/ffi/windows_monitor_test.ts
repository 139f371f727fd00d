/** The monitor of Windows on a model of its events: nothing stays behind, whatever fails. */

import assert from "node:assert/strict";
import { monitorEvents, type MonitorKernel } from "../../ffi/windows/event_monitor.ts";
import type { Pollable, Poller } from "../../ffi/platform.ts";
import { Fault } from "../../lib/base/fault.ts";

const FAULT = new Fault("unexpected", "Cannot wait");

/** A poller whose waits end as the test says. */
class ModelPoller implements Poller {
  isClosed = false;
  #source: Pollable | undefined;
  #pending: PromiseWithResolvers<readonly Pollable[]> | undefined;

  add(source: Pollable): void {
    this.#source = source;
  }
  remove(): void {}
  wait(): Promise<readonly Pollable[]> {
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }
  poll(): readonly Pollable[] {
    return [];
  }
  wake(): void {
    this.#pending?.resolve([]);
  }
  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
  set(): void {
    this.#pending!.resolve([this.#source!]);
  }
  break(): void {
    this.#pending!.reject(FAULT);
  }
}

/** Whose events and subscriptions are counted. */
function model(poller: () => Poller, kinds = 3) {
  const held = new Set<unknown>();
  const kernel: MonitorKernel = {
    createEvent: () => (held.add(7), 7),
    closeEvent: (event) => {
      assert.deepEqual([...held], [event], "nobody sets it any more");
      held.delete(event);
    },
    subscriptions: [1n, 2n, 3n].map((handle, index) => () =>
      index < kinds ? (held.add(handle), handle) : undefined
    ),
    cancel: (subscription) => assert.ok(held.delete(subscription)),
    createPoller: poller,
  };
  return { held, kernel };
}

Deno.test("monitorEvents: tells of changes until it is closed, and leaves nothing behind", async () => {
  const poller = new ModelPoller();
  const { held, kernel } = model(() => poller);
  let told = 0;
  const monitor = monitorEvents(kernel, () => told++)!;
  assert.equal(held.size, 4);
  poller.set();
  await settled();
  assert.equal(told, 1);
  monitor.close();
  await settled();
  assert.equal(told, 1);
  assert.equal(poller.isClosed, true);
  assert.equal(held.size, 0);
});

Deno.test("monitorEvents: undoes the subscriptions where there is no poller, or one of them is refused", () => {
  const none = model(() => {
    throw FAULT;
  });
  assert.throws(() => monitorEvents(none.kernel, () => {}), FAULT);
  assert.equal(none.held.size, 0);
  const refused = model(() => new ModelPoller(), 2);
  assert.equal(monitorEvents(refused.kernel, () => {}), undefined);
  assert.equal(refused.held.size, 0);
});

Deno.test("monitorEvents: ends where the system cannot wait any more", async () => {
  const poller = new ModelPoller();
  const { held, kernel } = model(() => poller);
  const monitor = monitorEvents(kernel, () => {})!;
  poller.break();
  await settled();
  assert.equal(poller.isClosed, true);
  assert.equal(held.size, 0);
  monitor.close();
});

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
