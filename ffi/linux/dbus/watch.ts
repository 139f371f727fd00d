/** Waits for signals of a service for as long as it takes, over restarts of the service and of the bus. */

import { Bus } from "./bus.ts";

/** How long to wait before the bus is tried again, from the first failure to the last. */
const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000] as const;
/** Signals come in crowds: one call for all of them within this time. */
const SETTLE_MS = 100;

/**
 * Calls `onChange` after signals that one of `rules` matches, after `service` came or went, and after the bus came back.
 * Does not keep the process alive.
 */
export function watchService(
  service: string,
  rules: readonly string[],
  onChange: () => void,
): { close(): void } {
  const all = [
    ...rules,
    `type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${service}'`,
  ];
  let bus: Bus | undefined;
  let isClosed = false;
  const closing = new AbortController();
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  const tell = () => {
    if (isClosed || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      onChange();
    }, SETTLE_MS);
    Deno.unrefTimer(timer);
  };
  const tryAgain = () => {
    bus = undefined;
    if (isClosed) return;
    retry = setTimeout(connect, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]!);
    Deno.unrefTimer(retry);
  };
  const connect = async () => {
    const opened = await Bus.open(undefined, undefined, closing.signal);
    if (!opened.ok) return tryAgain();
    if (isClosed) return opened.value.close();
    bus = opened.value;
    const added = await bus.listen(all, tell, tryAgain);
    if (!added.ok) {
      // Where it was the bus that ended the connection, that is under way.
      if (bus !== opened.value) return;
      opened.value.close();
      return tryAgain();
    }
    opened.value.unref();
    // What happened while nobody listened.
    if (failures > 0) tell();
    failures = 0;
  };
  connect();
  return {
    close: () => {
      isClosed = true;
      closing.abort();
      clearTimeout(timer);
      clearTimeout(retry);
      bus?.close();
    },
  };
}
