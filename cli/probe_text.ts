/** What probes report, in words: lines of `fz wait` and `fz ping`. */

import { shortId } from "../lib/base/text.ts";
import type { ProbeEvent } from "../lib/control/api.ts";
import { formatCount, formatMs } from "./format.ts";

type Reply = Extract<ProbeEvent, { event: "reply" }>;

/** Returns the line for an answer. */
export function replyLine({ method, address, rttMs, gatewayId, path }: Reply): string {
  const via = gatewayId === undefined || method === "gateway" ? "" : ` via gateway ${shortId(gatewayId)}`;
  const from = method === "gateway"
    ? `gateway ${gatewayId === undefined ? address : shortId(gatewayId)}`
    : address;
  const kind = method === "tcp" ? " (tcp)" : "";
  return `reply from ${from}${kind}${via}${path === undefined ? "" : ` ${path.kind}`} ${exactMs(rttMs)}`;
}

/** Returns what to say about `after`, the path that follows `before`; undefined if it is the same. */
export function pathChange(before: Reply["path"], after: Reply["path"]): string | undefined {
  if (before === undefined || after === undefined) return undefined;
  if (before.kind !== after.kind) return `path is ${after.kind} now (${after.local} to ${after.remote})`;
  const isSame = before.local === after.local && before.remote === after.remote;
  return isSame ? undefined : `path changed: ${after.local} to ${after.remote}`;
}

/** Returns what stage was reached, in words. */
export function stageText({ stage, detail }: Extract<ProbeEvent, { event: "stage" }>): string {
  switch (stage) {
    case "signed-in":
      return "signed in";
    case "known":
      return detail === undefined ? "known" : `resource ${detail}`;
    case "authorised":
      return "authorised";
    case "connected":
      return detail === undefined ? "gateway connected" : `gateway connected (${detail})`;
    case "named":
      return "name resolved";
    case "reachable":
      return detail === "gateway" ? "gateway answers" : "answers";
  }
}

/** Round trips of a series of probes. */
export class PingStatistics {
  #sent = 0;
  #received = 0;
  #sum = 0;
  #least = Infinity;
  #most = 0;

  /** Takes the number of the last probe. */
  handleSent(sequence: number): void {
    this.#sent = Math.max(this.#sent, sequence);
  }

  handleReply(rttMs: number): void {
    this.#received++;
    this.#sum += rttMs;
    this.#least = Math.min(this.#least, rttMs);
    this.#most = Math.max(this.#most, rttMs);
  }

  get received(): number {
    return this.#received;
  }

  /** Returns the lines of the summary. */
  lines(target: string): string[] {
    const lost = this.#sent === 0 ? 0 : Math.round((1 - this.#received / this.#sent) * 100);
    const answered = formatCount(this.#received, "reply", "replies");
    const head = `${target}: ${formatCount(this.#sent, "probe")}, ${answered}, ${lost}% lost`;
    if (this.#received === 0) return [head];
    const mean = this.#sum / this.#received;
    return [
      head,
      `round trip: ${exactMs(this.#least)} min, ${exactMs(mean)} mean, ${exactMs(this.#most)} max`,
    ];
  }
}

/** Small differences are what people ping for. */
function exactMs(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(1)} ms` : formatMs(ms);
}
