/** `dig` on a host of the lab, its answer taken apart. */

import type { Host } from "../../../io/lab/host.ts";

export interface DigAnswer {
  /** "NOERROR", "NXDOMAIN", … */
  readonly status: string;
  /** The data of the answer section's records, in the order of arrival. */
  readonly data: readonly string[];
  /** Everything but what differs with each question: id, server, times. */
  readonly text: string;
}

/** Runs `dig` with `args` and returns what came; throws if nothing did. */
export async function dig(host: Host, ...args: string[]): Promise<DigAnswer> {
  const stdout = await host.must(["dig", "+tries=1", "+time=15", "+nocookie", "+nostats", "+nocmd", ...args]);
  const status = /status: (\w+)/.exec(stdout)?.[1];
  if (status === undefined) throw new Error(`dig ${args.join(" ")} got no answer:\n${stdout}`);
  const section = /;; ANSWER SECTION:\n([^]*?)\n\n/.exec(stdout)?.[1] ?? "";
  return {
    status,
    data: section.split("\n").filter((line) => line !== "").map((line) =>
      line.split(/\s+/).slice(4).join(" ")
    ),
    text: stdout.replace(/, id: \d+/, ""),
  };
}
