import assert from "node:assert/strict";
import fc from "fast-check";
import type { ResourceStatus } from "../../../lib/client/status.ts";
import {
  describeFilters,
  findResource,
  nearestResource,
  parseTarget,
  planProbe,
} from "../../../lib/client/target.ts";
import { Harness, INTERNET, OFFICE, WIKI } from "./harness.ts";

const PRINTER = { ...OFFICE, id: "r-printer", name: "Printer", address: "10.20.0.9/32" };
const GIT = { ...WIKI, id: "r-git", name: "Git", address: "git.corp.example" };
const ODD = { ...OFFICE, id: "r-odd", name: "lab:80", address: "10.30.0.0/16" };
const RESOURCES = statuses([WIKI, OFFICE, PRINTER, GIT, ODD, INTERNET]);

Deno.test("parseTarget tells resources, names and addresses apart, with and without a port", () => {
  const cases: [text: string, meaning: string][] = [
    ["Wiki", "resource r-wiki - -"],
    ["wiki", "resource r-wiki - -"],
    ["r-wiki", "resource r-wiki - -"],
    ["*.wiki.corp.example", "resource r-wiki - -"],
    ["10.20.0.0/16", "resource r-office - -"],
    ["Git", "resource r-git git.corp.example -"],
    ["Git:22", "resource r-git git.corp.example 22"],
    ["Printer:9100", "resource r-printer 10.20.0.9 9100"],
    ["lab:80", "resource r-odd - -"],
    ["lab:80:443", "resource r-odd - 443"],
    ["git.corp.example", "host git.corp.example -"],
    ["GIT.corp.example.:22", "host git.corp.example 22"],
    ["a.wiki.corp.example:443", "host a.wiki.corp.example 443"],
    ["10.20.1.1", "host 10.20.1.1 -"],
    ["10.20.1.1:80", "host 10.20.1.1 80"],
    ["fd00::1", "host fd00::1 -"],
    ["[fd00::1]", "host fd00::1 -"],
    ["[fd00::1]:80", "host fd00::1 80"],
    ["name:0", "host name:0 -"],
    ["name:70000", "host name:70000 -"],
  ];
  for (const [text, meaning] of cases) assert.equal(describe(text), meaning, text);
});

Deno.test("parseTarget takes the host of a URL, and the port that it stands for", () => {
  const of = (text: string) => parseTarget(text, []);
  for (
    const text of [
      "https://Wiki.test/a/b?c#d",
      "https://me@wiki.test",
      "https://wiki.test.:443",
      "https://wiki.test:/",
    ]
  ) {
    assert.deepEqual(of(text), { type: "host", host: { type: "name", name: "wiki.test" }, port: 443 }, text);
  }
  assert.deepEqual(of("http://wiki.test:8080/x"), of("wiki.test:8080"));
  assert.deepEqual(of("ssh://10.0.0.1"), of("10.0.0.1:22"));
  assert.deepEqual(of("https://[fd00::1]/"), of("[fd00::1]:443"));
  assert.deepEqual(of("gopher://wiki.test/"), of("wiki.test"));
});

Deno.test("parseTarget takes any text", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    assert.ok(["resource", "host"].includes(parseTarget(text, RESOURCES).type));
  }));
});

Deno.test("findResource says so if several resources have the name", () => {
  const twins = statuses([OFFICE, { ...OFFICE, id: "r-2", address: "10.1.0.0/16" }]);
  assert.equal(findResource("Office", twins), "several");
  assert.equal((findResource("r-2", twins) as ResourceStatus).id, "r-2");
  assert.equal(findResource("Offize", twins), undefined);
});

Deno.test("nearestResource suggests names and addresses, and nothing for what is like none", () => {
  assert.equal(nearestResource("Offcie", RESOURCES), "Office");
  assert.equal(nearestResource("git.crop.example", RESOURCES), "git.corp.example");
  assert.equal(nearestResource("zzzzzz", RESOURCES), undefined);
});

Deno.test("planProbe chooses what the filters allow", () => {
  const tcp = (first: number, last = first) => ({
    protocol: "tcp",
    port_range_start: first,
    port_range_end: last,
  });
  const cases: [filters: unknown[], port: number | undefined, method: unknown][] = [
    [[], undefined, { type: "icmp" }],
    [[{ protocol: "icmp" }, tcp(80)], undefined, { type: "icmp" }],
    [[tcp(80, 90)], undefined, { type: "tcp", port: 80 }],
    [[tcp(0, 65535)], undefined, { type: "tcp", port: 1 }],
    [[{ ...tcp(53), protocol: "udp" }], undefined, { type: "gateway", reason: "only-udp" }],
    [[], 443, { type: "tcp", port: 443 }],
    [[tcp(80)], 80, { type: "tcp", port: 80 }],
    [[tcp(80)], 443, undefined],
    [[{ protocol: "icmp" }], 443, undefined],
  ];
  for (const [filters, port, method] of cases) {
    const candidates = statuses([{ ...GIT, filters }]);
    const plan = planProbe(candidates, { type: "name", name: "git.corp.example" }, port);
    assert.deepEqual(plan?.method, method);
  }
  assert.deepEqual(planProbe(RESOURCES, undefined, undefined)?.method, {
    type: "gateway",
    reason: "no-host",
  });
});

Deno.test("planProbe takes the first resource that allows it, as the router does", () => {
  const web = {
    ...GIT,
    id: "r-web",
    filters: [{ protocol: "tcp", port_range_start: 80, port_range_end: 80 }],
  };
  const echo = { ...GIT, id: "r-echo", filters: [{ protocol: "icmp" }] };
  const candidates = [...statuses([web]), ...statuses([echo])];
  const host = { type: "name", name: "git.corp.example" } as const;
  assert.equal(planProbe(candidates, host, undefined)?.resource.id, "r-echo");
  assert.equal(planProbe(candidates, host, 80)?.resource.id, "r-web");
});

Deno.test("describeFilters puts filters in words", () => {
  assert.equal(describeFilters([]), "everything");
  assert.equal(
    describeFilters([
      { protocol: "tcp", ports: { first: 443, last: 443 } },
      { protocol: "udp", ports: { first: 1, last: 9 } },
      { protocol: "icmp" },
    ]),
    "tcp/443, udp/1-9, icmp",
  );
});

function statuses(resources: readonly unknown[]): readonly ResourceStatus[] {
  const harness = Harness.started(resources);
  return harness.session.status(harness.now).resources;
}

function describe(text: string): string {
  const target = parseTarget(text, RESOURCES);
  const host = target.host === undefined
    ? "-"
    : target.host.type === "name"
    ? target.host.name
    : String(target.host.address);
  const port = target.port ?? "-";
  return target.type === "resource"
    ? `resource ${target.resourceId} ${host} ${port}`
    : `host ${host} ${port}`;
}
