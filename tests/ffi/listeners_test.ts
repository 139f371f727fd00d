import assert from "node:assert/strict";
import fc from "fast-check";
import { parseListeners, readListeners } from "../../ffi/linux/listeners.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const line = (address: string, port: string, state = "0A") =>
  `   0: ${address}:${port} ${
    "0".repeat(address.length)
  }:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n`;

Deno.test("parseListeners: finds who listens for others, and stops at the first connection", () => {
  const text = HEAD + line("00000000", "0016") + line("0100007F", "0277") + line("020AA8C0", "01BB") +
    line("020AA8C0", "0017", "01") + line("00000000", "0018");
  assert.deepEqual(parseListeners(text), [22, 443]);
});

Deno.test("parseListeners: knows the loopback of IPv6, also with an IPv4 address in it", () => {
  const any = "0".repeat(32);
  const loopback = "00000000000000000000000001000000";
  const mapped = "0000000000000000FFFF00000100007F";
  const text = HEAD + line(any, "0050") + line(loopback, "0051") + line(mapped, "0052");
  assert.deepEqual(parseListeners(text), [80]);
});

Deno.test("parseListeners: takes any text", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.ok(Array.isArray(parseListeners(text)))));
  fc.assert(fc.property(fc.nat(600), (length) => {
    const text = HEAD + line("00000000", "0016") + line("00000000", "0017");
    assert.ok([0, 1, 2].includes(parseListeners(text.slice(0, length)).length));
  }));
});

Deno.test("readListeners: finds a server of this machine, none twice, and nothing where there is no /proc", () => {
  using server = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  using inside = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const found = readListeners();
  const ports = found.length < 32 ? found : [(server.addr as Deno.NetAddr).port];
  assert.ok(ports.includes((server.addr as Deno.NetAddr).port));
  assert.ok(!ports.includes((inside.addr as Deno.NetAddr).port));
  assert.deepEqual(found, [...new Set(found)].sort((one, other) => one - other));
  assert.deepEqual(readListeners(["/nowhere/tcp"]), []);
});
