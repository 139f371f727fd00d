import assert from "node:assert/strict";
import {
  grantCommand,
  missingPrivileges,
  type PrivilegeFacts,
  privilegeFault,
} from "../../../lib/host/privilege.ts";

const ALL: PrivilegeFacts = {
  uid: 1000,
  gid: 1001,
  hasNetAdmin: true,
  isGrantable: true,
  tun: "usable",
  surroundings: "machine",
};

Deno.test("privilegeFault: nothing where nothing is missing, or nothing could be seen", () => {
  assert.equal(privilegeFault(ALL), undefined);
  assert.equal(privilegeFault({ ...ALL, hasNetAdmin: undefined, tun: undefined }), undefined);
});

Deno.test("privilegeFault: names what is missing and the command that grants it", () => {
  const table: readonly (readonly [Partial<PrivilegeFacts>, code: string, state: RegExp, fix: RegExp])[] = [
    [{ hasNetAdmin: false }, "privilege", /CAP_NET_ADMIN is missing$/, /sudo fz up.*setpriv --reuid=1000/],
    [
      { hasNetAdmin: false, uid: 0, isGrantable: false },
      ...["privilege", /CAP_NET_ADMIN/, /capsh --print/] as const,
    ],
    [
      { hasNetAdmin: false, uid: 0, isGrantable: false, surroundings: "container" },
      ...["privilege", /CAP_NET_ADMIN/, /docker run --cap-add NET_ADMIN.*podman.*containers\.md/] as const,
    ],
    [
      { hasNetAdmin: false, surroundings: "unit" },
      ...["privilege", /CAP_NET_ADMIN/, /AmbientCapabilities=CAP_NET_ADMIN/] as const,
    ],
    [{ tun: "missing" }, "tun", /\/dev\/net\/tun is missing$/, /modprobe tun/],
    [{ tun: "missing", surroundings: "container" }, "tun", /is missing$/, /--device \/dev\/net\/tun/],
    [{ tun: "another" }, "tun", /\/dev\/net\/tun is not the TUN device$/, /umount/],
    [{ tun: "another", surroundings: "container" }, "tun", /is not the TUN device$/, /--device/],
    [{ tun: "denied" }, "privilege", /may not be opened$/, /sudo chmod 666/],
    [{ tun: "denied", uid: 0 }, "privilege", /may not be opened$/, /DeviceAllow/],
    [{ tun: "denied", surroundings: "unit" }, "privilege", /may not be opened$/, /DeviceAllow/],
    [{ tun: "denied", surroundings: "container" }, "privilege", /may not be opened$/, /--device/],
  ];
  for (const [change, code, state, fix] of table) {
    const fault = privilegeFault({ ...ALL, ...change });
    assert.ok(fault !== undefined);
    assert.equal(fault.code, code);
    assert.match(fault.message, state);
    assert.match(fault.next ?? "", fix);
  }
});

Deno.test("privilegeFault: one Fault for all that is missing, the same remedy once", () => {
  const facts: PrivilegeFacts = {
    ...ALL,
    uid: 0,
    hasNetAdmin: false,
    isGrantable: false,
    tun: "missing",
    surroundings: "container",
  };
  const fault = privilegeFault(facts);
  assert.equal(
    fault?.message,
    "Cannot make a tunnel: the capability CAP_NET_ADMIN is missing, and /dev/net/tun is missing",
  );
  assert.equal(
    fault?.next,
    "Grant it: docker run --cap-add NET_ADMIN --device /dev/net/tun, the same with podman, see docs/containers.md; " +
      "if its host has none: modprobe tun.",
  );
  assert.deepEqual(missingPrivileges(facts).map(({ what }) => what), ["net-admin", "tun"]);
});

Deno.test("grantCommand: this user's ids, and words where there are none", () => {
  assert.match(
    grantCommand(ALL),
    /--reuid=1000 --regid=1001 --init-groups .*ambient-caps=\+net_admin fz run$/,
  );
  assert.match(grantCommand({ uid: undefined, gid: undefined }), /--reuid=USER --regid=GROUP/);
});
