import assert from "node:assert/strict";
import { machinePath } from "../../io/device_id.ts";

Deno.test("machinePath: is upstream's on each system", () => {
  assert.equal(machinePath("client", "linux"), "/var/lib/dev.firezone.client/config/firezone-id.json");
  const darwin = "/Library/Application Support/dev.firezone.client/config/firezone-id.json";
  assert.equal(machinePath("client", "darwin"), darwin);
  const windows = String.raw`C:\ProgramData\dev.firezone.client\config\firezone-id.json`;
  assert.equal(machinePath("client", "windows"), windows);
  assert.equal(machinePath("gateway", "linux"), "/var/lib/firezone/gateway_id");
});
