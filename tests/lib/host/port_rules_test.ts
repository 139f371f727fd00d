import assert from "node:assert/strict";
import fc from "fast-check";
import { checksPortRules, hasPortRules } from "../../../lib/host/port_rules.ts";

Deno.test("hasPortRules: is true since Linux 4.17", () => {
  for (const release of ["4.17.0", "4.18.0-553.el8.x86_64", "5.4.0-150-generic", "6.18.44", "10.1"]) {
    assert.ok(hasPortRules(release), release);
  }
  for (const release of ["4.16.18", "4.4.0", "3.10.0-1160.el7", "", "strange"]) {
    assert.ok(!hasPortRules(release), release);
  }
});

Deno.test("checksPortRules: is true since Linux 5.14, and where the patch certainly is", () => {
  for (const release of ["5.14.0", "5.10.50", "5.10.223-1", "5.4.132", "5.13.2", "6.1.0-28-amd64", "7.0.0"]) {
    assert.ok(checksPortRules(release), release);
  }
  for (const release of ["5.13.1", "5.11.22", "5.10.49", "5.4.131", "4.19.316", "4.18.0-553.el8", ""]) {
    assert.ok(!checksPortRules(release), release);
  }
  fc.assert(fc.property(fc.string(), (release) => {
    if (checksPortRules(release)) assert.ok(hasPortRules(release));
  }));
});
