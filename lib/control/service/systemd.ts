/** The unit of systemd (systemd.service(5), systemd.exec(5)): client-behaviour A.12, and why what is missing there is. */

import { type ServiceOptions, sessionArguments } from "./service.ts";

/** Where an administrator's units are. */
export const UNIT_FILE = "/etc/systemd/system/fz.service";

/** Returns the text of the unit. */
export function systemdUnit(options: ServiceOptions): string {
  const { program, tokenFile, readersGroup, user } = options;
  const isRoot = user.name === "root";
  const environment = Object.entries(options.environment).map(([name, value]) => `${name}=${value}`);
  const command = (...more: readonly string[]) => [...program, ...more].map(quoted).join(" ");
  return `# Made by \`fz service install\`, which makes it anew; \`fz service uninstall\` removes it.
# Changes of your own belong into a drop-in: systemctl edit fz

[Unit]
Description=fz, client for Firezone
Documentation=man:fz(1) man:fz-service(1)
Wants=network-online.target
After=network-online.target systemd-resolved.service NetworkManager.service

[Service]
Type=notify
NotifyAccess=main
ExecStart=${command(...sessionArguments(options))}
${
    environment.map((assignment) => `Environment=${quoted(assignment)}\n`).join("")
  }ExecReload=/bin/kill -HUP $MAINPID
ExecStopPost=-${command("cleanup")}

# Ready is when the tunnel is configured. A machine may start offline, or before anybody has signed in.
TimeoutStartSec=infinity
TimeoutStopSec=15
WatchdogSec=60
Restart=on-failure
RestartSec=5
# Wrong usage, and credentials that the portal turned down: trying again cannot help.
RestartPreventExitStatus=2 3 4

# The white space stands in for a token that nobody has stored yet; the session then waits for "fz sign-in".
SetCredential=token:\\n
LoadCredential=token:${tokenFile}

StateDirectory=fz dev.firezone.client
StateDirectoryMode=${isRoot ? "0750" : "0700"}
RuntimeDirectory=fz
RuntimeDirectoryMode=0755
# Between two tries it has why the last one failed.
RuntimeDirectoryPreserve=restart
UMask=0077
${
    readersGroup === undefined || !isRoot
      ? ""
      : `# Members may ask the session, not change it.\nSupplementaryGroups=${readersGroup}\n`
  }
# Nothing but what a tunnel needs. ${
    isRoot
      ? "Of root, the ownership of its files and one capability"
      : "A user of its own, with one capability"
  }:
# ${user.reason}.
# After the machine's way of DNS has changed, run \`fz service install\` again.
${
    isRoot
      ? "User=root\n"
      : `User=${user.name}\nEnvironment=FZ_CONFIG_DIR=/etc/fz\n`
  }AmbientCapabilities=CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_ADMIN
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectSystem=strict
${writable(options)}ProtectHome=${isAtHome(options.folders) ? "read-only" : "yes"}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
PrivateTmp=yes
PrivateMounts=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service @pkey
SystemCallErrorNumber=EPERM
# Left out:
#   MemoryDenyWriteExecute  V8 compiles at run time; without its compiler the data path is 13 times slower.
#   PrivateUsers            the capability${isRoot ? " and root's right to set DNS" : ""} must be real.
#   PrivateDevices          would hide /dev/net/tun.
#   ProcSubset=pid          the session follows the machine's routes in /proc/net.
#   PrivateNetwork          the network is what this is for.

[Install]
WantedBy=multi-user.target
`;
}

/** Where strict protection must give way: rewriting resolv.conf makes files beside it. */
function writable({ dnsControl }: ServiceOptions): string {
  switch (dnsControl) {
    case "systemd-resolved":
    case "network-manager":
    case "disabled":
      return "";
    case "resolvconf":
      return "# For resolvconf, which the session runs.\nReadWritePaths=/etc -/run/resolvconf\n";
    case undefined:
    case "etc-resolv-conf":
    case "scutil":
    case "nrpt":
      return "# For /etc/resolv.conf and its backup.\nReadWritePaths=/etc\n";
  }
}

function isAtHome(folders: readonly string[]): boolean {
  return folders.some((folder) => /^\/(home|root|run\/user)\//.test(`${folder}/`));
}

/** Quotes a word of a command line as systemd.service(5) wants it; "%" and "$" would be expanded. */
function quoted(word: string): string {
  const literal = word.replaceAll("\\", "\\\\").replaceAll("%", "%%").replaceAll("$", "$$$$").replaceAll(
    '"',
    '\\"',
  );
  return /^[\w./:=@%+,-]+$/.test(literal) ? literal : `"${literal}"`;
}
