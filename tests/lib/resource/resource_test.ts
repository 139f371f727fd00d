import assert from "node:assert/strict";
import { resourceFromClientView, resourceFromGatewayView } from "../../../lib/resource/resource.ts";
import { decodeClientInbound } from "../../../lib/wire/portal/client.ts";
import { decodeGatewayInbound } from "../../../lib/wire/portal/gateway.ts";

function fromClient(view: unknown) {
  const message = decodeClientInbound("resource_created_or_updated", view);
  assert(message.ok && message.value.event === "resource_created_or_updated");
  return resourceFromClientView(message.value.payload);
}

function fromGateway(view: unknown) {
  const message = decodeGatewayInbound("resource_updated", view);
  assert(message.ok && message.value.event === "resource_updated");
  return resourceFromGatewayView(message.value.payload);
}

const SITES = [{ id: "s1", name: "Paris" }];

Deno.test("resourceFromClientView reads each kind of resource", () => {
  const dns = fromClient({
    type: "dns",
    id: "r1",
    name: "Wiki",
    address: "*.wiki.example",
    address_description: "https://wiki.example",
    ip_stack: "ipv4_only",
    gateway_groups: SITES,
    filters: [{ protocol: "tcp", port_range_start: 443, port_range_end: 443 }],
  });
  assert(dns.type === "dns");
  assert.equal(dns.pattern, "*.wiki.example");
  assert.equal(dns.ipStack, "ipv4-only");
  assert.equal(dns.addressDescription, "https://wiki.example");
  assert.deepEqual(dns.sites, SITES);
  assert.equal(dns.filters.permits("tcp", 443), true);
  assert.equal(dns.filters.permits("tcp", 444), false);

  const cidr = fromClient({ type: "cidr", id: "r2", name: "Net", address: "10.0.0.0/8", sites: SITES });
  assert(cidr.type === "cidr");
  assert.equal(cidr.network.toString(), "10.0.0.0/8");
  assert.equal(cidr.filters.permitsAll, true);

  const internet = fromClient({ type: "internet", id: "r3", can_be_disabled: true, sites: SITES });
  assert(internet.type === "internet");
  assert.equal(internet.canBeDisabled, true);
  assert.deepEqual(internet.sites, SITES);

  const pool = fromClient({
    type: "static_device_pool",
    id: "r4",
    name: "Pool",
    filters: [],
    devices: [{ client_id: "c1", ipv4: "100.70.1.9/32", ipv6: "fd00:2021:1111::1:9/128" }],
  });
  assert(pool.type === "static-device-pool");
  assert.equal(pool.devices[0]?.ipv4.toString(), "100.70.1.9");
});

Deno.test("resourceFromGatewayView reads each kind of resource", () => {
  const dns = fromGateway({
    type: "dns",
    id: "r1",
    name: "Wiki",
    address: "wiki.example",
    filters: [{ protocol: "icmp" }],
  });
  assert(dns.type === "dns");
  assert.equal(dns.pattern, "wiki.example");
  assert.equal(dns.filters.permits("icmp", 0), true);

  const cidr = fromGateway({ type: "cidr", id: "r2", name: "Net", address: "2001:db8::/32", filters: [] });
  assert(cidr.type === "cidr");
  assert.equal(cidr.network.toString(), "2001:db8::/32");

  assert.equal(fromGateway({ type: "internet", id: "r3" }).type, "internet");
});
