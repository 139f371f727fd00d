import assert from "node:assert/strict";
import { launchdPlist } from "../../../lib/control/service/launchd.ts";
import type { ServiceOptions } from "../../../lib/control/service/service.ts";
import { systemdUnit } from "../../../lib/control/service/systemd.ts";
import { windowsInstall } from "../../../lib/control/service/windows.ts";

const OPTIONS: ServiceOptions = {
  program: ["/usr/local/bin/fz"],
  environment: {},
  folders: ["/opt/fz/"],
  profile: "work",
  tokenFile: "/etc/dev.firezone.client/token",
  dnsControl: "systemd-resolved",
  readersGroup: undefined,
  user: { name: "root", reason: "it must write a file of root", needsRule: false },
};

function directive(unit: string, name: string): string[] {
  return unit.split("\n").filter((line) => line.startsWith(`${name}=`)).map((line) =>
    line.slice(name.length + 1)
  );
}

Deno.test("systemdUnit: runs the session, and cleans up after it", () => {
  const unit = systemdUnit(OPTIONS);
  assert.deepEqual(directive(unit, "Type"), ["notify"]);
  assert.deepEqual(directive(unit, "ExecStart"), ["/usr/local/bin/fz run --service --profile work"]);
  assert.deepEqual(directive(unit, "ExecStopPost"), ["-/usr/local/bin/fz cleanup"]);
  assert.deepEqual(directive(unit, "RestartPreventExitStatus"), ["2 3 4"]);
  assert.deepEqual(directive(unit, "LoadCredential"), ["token:/etc/dev.firezone.client/token"]);
  assert.deepEqual(directive(unit, "SetCredential"), ["token:\\n"]);
});

Deno.test("systemdUnit: has every hardening of client-behaviour A.12, or says why not", () => {
  const wanted = [
    ...["AmbientCapabilities", "CapabilityBoundingSet", "DeviceAllow", "ProtectSystem", "ProtectHome"],
    ...[
      "ProtectClock",
      "ProtectControlGroups",
      "ProtectHostname",
      "ProtectKernelLogs",
      "ProtectKernelModules",
    ],
    ...["ProtectKernelTunables", "ProtectProc", "ProcSubset", "PrivateTmp", "PrivateMounts", "PrivateUsers"],
    ...["NoNewPrivileges", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID", "RestrictNamespaces"],
    ...[
      "MemoryDenyWriteExecute",
      "RestrictAddressFamilies",
      "SystemCallFilter",
      "SystemCallArchitectures",
      "UMask",
    ],
  ];
  const unit = systemdUnit(OPTIONS);
  const [settings = "", omissions = ""] = unit.split("# Left out:");
  for (const name of wanted) {
    const isSet = directive(settings, name).length === 1;
    const isExplained = new RegExp(`^#   ${name}(=\\w+)?  +\\S`, "m").test(omissions);
    assert.ok(isSet !== isExplained, `${name}: set ${isSet}, explained ${isExplained}`);
  }
});

Deno.test("systemdUnit: has root or a user of its own, tells why, and one capability either way", () => {
  const root = systemdUnit({ ...OPTIONS, readersGroup: "fz" });
  assert.deepEqual(directive(root, "User"), ["root"]);
  assert.deepEqual(directive(root, "SupplementaryGroups"), ["fz"]);
  assert.match(root, /^# it must write a file of root\.$/m);
  const user = { name: "fz", reason: "polkit lets it", needsRule: true } as const;
  const own = systemdUnit({ ...OPTIONS, user, readersGroup: "fz" });
  assert.deepEqual(directive(own, "User"), ["fz"]);
  // Its own group is the readers'.
  assert.deepEqual(directive(own, "SupplementaryGroups"), []);
  assert.deepEqual(directive(own, "StateDirectoryMode"), ["0700"]);
  assert.deepEqual(directive(own, "Environment"), ["FZ_CONFIG_DIR=/etc/fz"]);
  for (const unit of [root, own]) {
    assert.deepEqual(directive(unit, "AmbientCapabilities"), ["CAP_NET_ADMIN"]);
    assert.deepEqual(directive(unit, "CapabilityBoundingSet"), ["CAP_NET_ADMIN"]);
  }
});

Deno.test("systemdUnit: lets /etc be written only for resolv.conf", () => {
  assert.deepEqual(directive(systemdUnit(OPTIONS), "ReadWritePaths"), []);
  assert.deepEqual(directive(systemdUnit({ ...OPTIONS, dnsControl: "etc-resolv-conf" }), "ReadWritePaths"), [
    "/etc",
  ]);
});

Deno.test("systemdUnit: lets a home be read that the program is in", () => {
  assert.deepEqual(directive(systemdUnit(OPTIONS), "ProtectHome"), ["yes"]);
  for (const folder of ["/root/fz/", "/home/ada/fz", "/root"]) {
    const folders = ["/opt/fz/", folder];
    assert.deepEqual(directive(systemdUnit({ ...OPTIONS, folders }), "ProtectHome"), ["read-only"], folder);
  }
});

Deno.test("systemdUnit: quotes what systemd would expand or split", () => {
  const program = ["/opt/my apps/fz", "--v8-flags=a,b", "100%", "$HOME", 'say "hi"', "back\\slash"];
  const [start] = directive(systemdUnit({ ...OPTIONS, program }), "ExecStart");
  assert.equal(
    start,
    String
      .raw`"/opt/my apps/fz" --v8-flags=a,b 100%% "$$HOME" "say \"hi\"" "back\\slash" run --service --profile work`,
  );
});

Deno.test("launchdPlist: names program and arguments, and escapes them", () => {
  const text = launchdPlist({ ...OPTIONS, program: ["/Applications/R&D <1>/fz"] });
  assert.match(text, /<string>\/Applications\/R&#38;D &#60;1&#62;\/fz<\/string>\s*<string>run<\/string>/);
  assert.match(text, /<key>SuccessfulExit<\/key>\s*<false\/>/);
  assert.doesNotMatch(text.replace(/&#\d+;/g, ""), /&/);
});

Deno.test("windowsInstall: quotes the image path as CommandLineToArgvW reads it", () => {
  const [create] = windowsInstall({ ...OPTIONS, program: ["C:\\Program Files\\fz\\", 'a"b', "plain\\"] });
  const image = create![create!.indexOf("binPath=") + 1];
  assert.equal(image, String.raw`"C:\Program Files\fz\\" "a\"b" plain\ run --service --profile work`);
});
