/** Asks a session for a name, as an application would, and tells who answered. */

import { Fault } from "../../lib/base/fault.ts";
import type { DnsAnswerDocument, RequestOf } from "../../lib/control/api.ts";
import { encodeDnsQuery, RecordType } from "../../lib/wire/dns.ts";
import { describeDnsMessage, recordTypeNumber } from "../../lib/wire/dns_text.ts";
import type { ProbeEngine } from "./probe.ts";

/** Returns the answer. Throws `Fault` "usage" for what is no name or type, "dns" if there is no answer at all. */
export async function queryDns(
  engine: ProbeEngine,
  { name, type = "A" }: RequestOf<"dnsQuery">,
): Promise<DnsAnswerDocument> {
  const number = recordTypeNumber(type);
  if (number === undefined) {
    const known = Object.keys(RecordType).map((each) => each.toUpperCase()).join(", ");
    throw new Fault("usage", `Cannot ask for records of type "${type}": there is no such type`, {
      next: `Use one of ${known}, or TYPE with a number.`,
    });
  }
  const query = encodeDnsQuery(0, name, number);
  if (query === undefined) throw new Fault("usage", `Cannot ask for "${name}": that is no name`);
  const start = performance.now();
  const answer = await engine.questions.askDns(query);
  const text = answer && describeDnsMessage(answer.message);
  if (answer === undefined || text === undefined) {
    throw new Fault("timeout", `Cannot ask for "${name}": no usable answer came`, {
      next: "See `fz dns status` for who is asked.",
    });
  }
  const { resources } = engine.questions.explain(name);
  const resource = answer.source === "resource" || answer.source === "site" || answer.source === "device-pool"
    ? resources[0]?.name
    : undefined;
  return {
    schema: 1,
    name,
    type: type.toUpperCase(),
    rcode: text.code,
    answers: text.records.filter(({ section }) => section === "answer")
      .map(({ name, type, ttl, data }) => ({ name, type, ttl, data })),
    source: answer.source === "upstream" ? upstreamOf(engine) : answer.source,
    ...(resource === undefined ? {} : { resource }),
    ms: Math.round((performance.now() - start) * 1000) / 1000,
  };
}

/** What is asked here goes to the first of the upstream servers. */
function upstreamOf(engine: ProbeEngine): string {
  const upstream = engine.status().dns.sentinels[0]?.upstream;
  if (upstream === undefined) return "upstream";
  return upstream.type === "do53" ? String(upstream.address) : upstream.url;
}
