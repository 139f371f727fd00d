/** The session's log for those who ask: the last records, what comes after them, and the filter while it runs. */

import { Fault } from "../../lib/base/fault.ts";
import type { AnswerOf, LogDocument, RequestOf } from "../../lib/control/api.ts";
import { isAtLeast } from "../../lib/control/log_line.ts";
import { logFilter, resetLogFilter, setLogFilter } from "../log.ts";
import { LogFilter } from "../../lib/control/log_filter.ts";
import { type LogRing, processLog } from "../log_ring.ts";

/** What a slow reader may leave lying; what comes on top is counted and told. */
const MAX_WAITING = 1000;

/**
 * Yields the last records of `ring`, then with `follow` each new one until `signal`. A reader that does not keep up
 * gets a record that says how many it missed.
 */
export async function* logLines(
  request: RequestOf<"log">,
  signal: AbortSignal,
  ring: LogRing = processLog,
  maxWaiting: number = MAX_WAITING,
): AsyncGenerator<LogDocument> {
  const isWanted = (record: LogDocument) =>
    request.level === undefined || isAtLeast(record.level, request.level);
  const kept = ring.records().filter(isWanted);
  const waiting: LogDocument[] = [];
  let missed = 0;
  let wake = () => {};
  const onRecord = (record: LogDocument) => {
    if (!isWanted(record)) return;
    if (waiting.length < maxWaiting) waiting.push(record);
    else missed++;
    wake();
  };
  const unfollow = request.follow === true ? ring.follow(onRecord) : () => {};
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  try {
    const last = request.last ?? kept.length;
    yield* last === 0 ? [] : kept.slice(-last);
    while (request.follow === true && !signal.aborted) {
      const record = waiting.shift();
      if (record !== undefined) yield record;
      else if (missed > 0) {
        const count = missed;
        missed = 0;
        yield missedRecord(count);
      } else await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    unfollow();
    signal.removeEventListener("abort", onAbort);
  }
}

/** Changes what is logged, for this run; undefined goes back to what was asked for at the start. */
export function changeLogFilter({ filter }: RequestOf<"setLogFilter">): AnswerOf<"setLogFilter"> {
  if (filter === undefined) resetLogFilter();
  else {
    const parsed = LogFilter.parse(filter);
    if (!parsed.ok) {
      throw new Fault("usage", `Cannot use log filter "${filter}": ${parsed.reason}`, {
        next: 'A filter is a level, such as "debug", or a list of them, such as "info,fz=debug".',
      });
    }
    setLogFilter(parsed.value);
  }
  return { schema: 1, filter: logFilter().toString() };
}

function missedRecord(count: number): LogDocument {
  return {
    time: new Date().toISOString(),
    level: "warn",
    category: "log",
    message: "records are missing here: the reader was too slow",
    fields: { missed: count },
  };
}
