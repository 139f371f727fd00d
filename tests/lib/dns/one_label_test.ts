import assert from "node:assert/strict";
import { isForOneLabel, ONE_LABEL_DOMAIN, oneLabelOf } from "../../../lib/dns/one_label.ts";
import { Pattern } from "../../../lib/dns/pattern.ts";
import { ProxyIps } from "../../../lib/dns/proxy_ips.ts";
import { type NamedResource, StubResolver } from "../../../lib/dns/stub_resolver.ts";
import { decodeDnsQuery, type DnsQuery, encodeDnsQuery, RecordType } from "../../../lib/wire/dns.ts";
import { describeDnsMessage } from "../../../lib/wire/dns_text.ts";

Deno.test("isForOneLabel takes patterns that are written for names of one label", () => {
  for (const text of ["gitlab", "git-*", "ci-?", "GitLab."]) {
    assert.equal(isForOneLabel(Pattern.from(text)), true, text);
  }
  for (const text of ["*", "**", "?", "*?", "*.gitlab", "**.corp", "git.lab"]) {
    assert.equal(isForOneLabel(Pattern.from(text)), false, text);
  }
});

Deno.test("oneLabelOf takes our search domain off one label, and tells what else is below it", () => {
  assert.equal(oneLabelOf(`gitlab.${ONE_LABEL_DOMAIN}`), "gitlab");
  for (const name of [ONE_LABEL_DOMAIN, `web.site.test.${ONE_LABEL_DOMAIN}`]) {
    assert.equal(oneLabelOf(name), "", name);
  }
  for (const name of ["gitlab", "", `x${ONE_LABEL_DOMAIN}`, `${ONE_LABEL_DOMAIN}.test`, "fz.internal"]) {
    assert.equal(oneLabelOf(name), undefined, name);
  }
});

Deno.test("StubResolver answers for a name below our search domain as for the one label", () => {
  const { resolver, proxyIps } = setUp([["git", "gitlab"], ["ci", "ci-*"]]);
  for (const [name, resourceIds] of [["gitlab", ["git", "all"]], ["ci-7", ["ci", "all"]]] as const) {
    const long = resolver.decide(below(name, "a"));
    const short = resolver.decide(query(name, "a"));
    assert.ok(long.type === "answer" && short.type === "answer");
    assert.deepEqual(long.resolved, { name, resourceIds });
    assert.deepEqual(short.resolved, long.resolved);
    assert.deepEqual(recordsOf(long.message), recordsOf(short.message));
    const [first] = describeDnsMessage(long.message)!.records;
    assert.equal(proxyIps.nameOf(proxyIps.assign(name).ipv4[0]!.key), name);
    assert.equal(first!.data, String(proxyIps.assign(name).ipv4[0]));
  }
  assert.equal(recordsOf(answerTo(resolver, below("GITLAB", "aaaa"))).length, 4);
});

Deno.test("StubResolver hands nothing below our search domain to anybody", () => {
  const { resolver } = setUp([["git", "gitlab", "ipv4-only"], ["nobody", "**.internal"]]);
  const codeOf = (asked: DnsQuery) => describeDnsMessage(answerTo(resolver, asked))!.code;
  const refused = [
    below("nosuch", "a"),
    below("nosuch", "txt"),
    below("web.site.test", "a"),
    below("a.gitlab", "aaaa"),
    query(ONE_LABEL_DOMAIN, "soa"),
    { ...below("gitlab", "a"), class: 3 },
    { ...below("gitlab", "a"), opcode: 4 },
  ];
  for (const asked of refused) assert.equal(codeOf(asked), "NXDOMAIN", asked.name);
  for (const type of ["aaaa", "txt", "srv", "https", "mx"] as const) {
    assert.equal(codeOf(below("gitlab", type)), "NOERROR", type);
    assert.deepEqual(recordsOf(answerTo(resolver, below("gitlab", type))), [], type);
  }
});

Deno.test("StubResolver asks the portal for a device by the one label", () => {
  const { resolver } = setUp([["pool", "lab-*", "pool"]]);
  assert.deepEqual(resolver.decide(below("lab-7", "a")), {
    type: "device-pool",
    resourceId: "pool",
    name: "lab-7",
  });
});

Deno.test("StubResolver.hasOneLabelNames follows the resources that are there", () => {
  const { resolver } = setUp([]);
  const set = (id: string, pattern: string) =>
    resolver.set({ id, type: "dns", ipStack: "dual" }, Pattern.from(pattern));
  const seen: boolean[] = [];
  const steps = [
    () => {},
    () => set("a", "gitlab"),
    () => set("b", "wiki"),
    () => set("a", "gitlab.corp.example"),
    () => resolver.delete("b"),
    () => set("b", "wiki"),
    () => set("b", "wiki"),
    () => resolver.delete("b"),
  ];
  for (const step of steps) {
    step();
    seen.push(resolver.hasOneLabelNames);
  }
  assert.deepEqual(seen, [false, true, true, true, false, true, true, false]);
});

type Spec = readonly [id: string, pattern: string, kind?: NamedResource["ipStack"] | "pool"];

/** A resolver with `specs` and with a resource of all names. */
function setUp(specs: readonly Spec[]): { resolver: StubResolver; proxyIps: ProxyIps } {
  const proxyIps = new ProxyIps();
  const resolver = new StubResolver(proxyIps);
  for (const [id, pattern, kind = "dual"] of [...specs, ["all", "**"] as const]) {
    const resource: NamedResource = kind === "pool"
      ? { id, type: "dynamic-pool", ipStack: "dual" }
      : { id, type: "dns", ipStack: kind };
    resolver.set(resource, Pattern.from(pattern));
  }
  return { resolver, proxyIps };
}

function query(name: string, type: keyof typeof RecordType): DnsQuery {
  const decoded = decodeDnsQuery(encodeDnsQuery(1, name, RecordType[type])!);
  assert.ok(decoded.ok);
  return decoded.value;
}

function below(name: string, type: keyof typeof RecordType): DnsQuery {
  return query(`${name}.${ONE_LABEL_DOMAIN}`, type);
}

function answerTo(resolver: StubResolver, asked: DnsQuery): Uint8Array {
  const decision = resolver.decide(asked);
  assert.ok(decision.type === "answer", decision.type);
  return decision.message;
}

function recordsOf(message: Uint8Array): string[] {
  return describeDnsMessage(message)!.records.map(({ type, data }) => `${type} ${data}`);
}
