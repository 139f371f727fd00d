import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Capability,
  capabilitySet,
  hasCapability,
  isReachable,
  keptForFiles,
  type Need,
  parseCredentials,
} from "../../../lib/host/capabilities.ts";

const STATUS = `Name:\tfz
Uid:\t1000\t0\t0\t0
Gid:\t1000\t7\t7\t7
Groups:\t4 24 4321 
CapInh:\t0000000000000000
CapPrm:\t0000000000001000
CapEff:\t0000000000001400
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
`;

Deno.test("parseCredentials: effective ids, all groups, the sets", () => {
  assert.deepEqual(parseCredentials(STATUS), {
    uid: 0,
    groups: [7, 4, 24, 4321],
    permitted: 1n << 12n,
    effective: (1n << 12n) | (1n << 10n),
    bounding: 0x1ffffffffffn,
  });
});

Deno.test("parseCredentials: any text is a value or nothing", () => {
  assert.equal(parseCredentials(STATUS.replace(/^CapEff.*\n/m, "")), undefined);
  assert.equal(parseCredentials(STATUS.replace("0000000000001400", "many")), undefined);
  fc.assert(fc.property(fc.string(), (text) => {
    parseCredentials(text);
    parseCredentials(STATUS.replace("1000", text));
  }));
});

Deno.test("capabilitySet, hasCapability: bits by number", () => {
  const set = capabilitySet(Capability.NET_ADMIN, Capability.MKNOD);
  assert.equal(set, 0x8001000n);
  assert.deepEqual([12, 27, 11, 0].map((number) => hasCapability(set, number)), [true, true, false, false]);
});

function need(
  access: Need["access"],
  path: string,
  ...steps: [string, number, number, number, boolean][]
): Need {
  return {
    access,
    path,
    steps: steps.map(([path, uid, gid, mode, isFolder]) => ({ path, uid, gid, mode, isFolder })),
  };
}

const ROOT_FOLDER: [string, number, number, number, boolean] = ["/", 0, 0, 0o755, true];

Deno.test("keptForFiles: nothing where root owns it or everybody may", () => {
  const needs = [
    need("read", "/opt/main.ts", ROOT_FOLDER, ["/opt", 0, 0, 0o700, true], [
      "/opt/main.ts",
      0,
      0,
      0o600,
      false,
    ]),
    need("read", "/srv/main.ts", ROOT_FOLDER, ["/srv", 9, 9, 0o755, true], [
      "/srv/main.ts",
      9,
      9,
      0o644,
      false,
    ]),
    need("write", "/etc/resolv.conf", ROOT_FOLDER, ["/etc", 0, 0, 0o755, true]),
    // Where nothing is to be read, nothing is missing.
    need("read", "/srv/later.toml", ROOT_FOLDER, ["/srv", 9, 9, 0o711, true]),
  ];
  assert.deepEqual(keptForFiles([0], needs), { set: 0n, reasons: [] });
});

Deno.test("keptForFiles: the right to read for a program in a closed home, to write and to give away for a folder of another's", () => {
  const home: [string, number, number, number, boolean] = ["/home/alice", 1000, 1000, 0o700, true];
  const program = need("read", "/home/alice/fz/main.ts", ROOT_FOLDER, home, [
    "/home/alice/fz",
    1000,
    1000,
    0o755,
    true,
  ]);
  assert.deepEqual(keptForFiles([0], [program, program]), {
    set: capabilitySet(Capability.DAC_READ_SEARCH),
    reasons: ['"/home/alice/fz/main.ts": only user 1000 may enter "/home/alice"'],
  });
  const log = need("write", "/srv/log", ROOT_FOLDER, ["/srv/log", 1000, 1000, 0o755, true]);
  assert.deepEqual(keptForFiles([0], [log]), {
    set: capabilitySet(Capability.DAC_OVERRIDE, Capability.CHOWN),
    reasons: ['"/srv/log": only user 1000 may write "/srv/log"'],
  });
});

Deno.test("keptForFiles: the right to write for a folder that root itself has closed to all", () => {
  const closed = need("write", "/run/fz", ROOT_FOLDER, ["/run/fz", 0, 0, 0o000, true]);
  assert.deepEqual(keptForFiles([0], [closed]), {
    set: capabilitySet(Capability.DAC_OVERRIDE),
    reasons: ['"/run/fz": nobody may write "/run/fz", not even user 0, whose it is'],
  });
  const home = need("write", "/home/alice/log", ROOT_FOLDER, ["/home/alice", 1000, 1000, 0o500, true]);
  const both = capabilitySet(Capability.DAC_OVERRIDE, Capability.CHOWN);
  assert.deepEqual(keptForFiles([0], [home]).set, both);
});

Deno.test("isReachable: the first class that fits decides, also when it allows less", () => {
  const file = need("read", "/f", ROOT_FOLDER, ["/f", 5, 6, 0o047, false]);
  assert.equal(isReachable({ uid: 5, groups: [6] }, file), false);
  assert.equal(isReachable({ uid: 7, groups: [6] }, file), true);
  const closed = need("read", "/f", ROOT_FOLDER, ["/f", 5, 6, 0o604, false]);
  assert.equal(isReachable({ uid: 7, groups: [6] }, closed), false);
  assert.equal(isReachable({ uid: 7, groups: [8] }, closed), true);
});
