/** `fz portal status` and `fz portal peers`: what a running portal holds and who is connected. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { defineCommand } from "../command.ts";
import { EXIT_OK } from "../exit.ts";
import { formatCount } from "../format.ts";
import { printFacts, printJson } from "../output.ts";
import { renderTable } from "../table.ts";
import {
  adminOptions,
  type AdminRecord,
  askAdmin,
  listRecords,
  recordOf,
  textOf,
  timeOf,
} from "./portal_admin.ts";

const COUNTED = [
  ["actors", "actor", "actors"],
  ["sites", "site", "sites"],
  ["resources", "resource", "resources"],
  ["policies", "policy", "policies"],
  ["tokens", "token", "tokens"],
] as const;

export const statusCommand = defineCommand({
  name: "status",
  brief: message`Tell what the portal that runs holds.`,
  description:
    message`Tells how many peers are connected and what each account has. Exits 12 if no portal runs.`,
  options: (env) => object(adminOptions(env)),
  async run({ adminSocket, json }, context) {
    const status = recordOf(
      await askAdmin(context, adminSocket, "tell the status", { method: "GET", path: "/v1/status" }),
    );
    const count = (record: AdminRecord, key: string) => typeof record[key] === "number" ? record[key] : 0;
    if (json) {
      printJson(context, status);
      return EXIT_OK;
    }
    const connected = (["client", "gateway", "relay"] as const)
      .map((noun) => formatCount(count(status, `${noun}s`), noun)).join(", ");
    const accounts = (Array.isArray(status.accounts) ? status.accounts : []).map(recordOf);
    printFacts(context, [
      ["Connected", connected],
      ...accounts.map((account) => {
        const parts = COUNTED.map(([key, one, many]) => formatCount(count(account, key), one, many));
        return [`Account ${textOf(account.slug) ?? ""}`, parts.join(", ")] as const;
      }),
    ]);
    return EXIT_OK;
  },
});

export const peersCommand = defineCommand({
  name: "peers",
  brief: message`List who is connected to the portal.`,
  description: message`Lists the clients, gateways and relays that are connected now.`,
  options: (env) => object(adminOptions(env)),
  async run({ adminSocket, json }, context) {
    const peers = [];
    for (const role of ["client", "gateway", "relay"]) {
      for (const peer of await listRecords(context, adminSocket, `${role}s`)) {
        peers.push(describe(role, peer));
      }
    }
    if (json) printJson(context, { peers });
    else if (peers.length === 0) context.stderr.write("Nobody is connected.\n");
    else {
      const titles = ["ROLE", "NAME", "ADDRESS", "FROM", "SINCE"].map((title) => ({
        title,
        isFlexible: title === "NAME",
      }));
      const cells = peers.map((peer) => [
        peer.role,
        peer.name ?? peer.id ?? "-",
        peer.ipv4 ?? peer.ipv6 ?? "-",
        peer.remoteIp ?? "-",
        peer.connectedAt ?? "-",
      ]);
      const lines = renderTable(titles, cells, { width: context.stdout.columns });
      context.stdout.write(`${lines.join("\n")}\n`);
    }
    return EXIT_OK;
  },
});

function describe(role: string, peer: AdminRecord) {
  return {
    role,
    id: textOf(peer.id) ?? null,
    name: textOf(peer.name) ?? null,
    ipv4: textOf(peer.ipv4) ?? null,
    ipv6: textOf(peer.ipv6) ?? null,
    remoteIp: textOf(peer.remoteIp) ?? null,
    userAgent: textOf(peer.userAgent) ?? null,
    connectedAt: timeOf(peer.connectedAt) ?? null,
  };
}
