/**
 * Policy routing (ip-rule(8)) as the Rust client has it: three tables of ours, looked up by everything that does not
 * carry our mark. Order is meaning: a resource beats the local network, the local network beats the Internet resource.
 * Ahead of them come rules for single destinations that always pass the tunnel by. Ours are recognised by their
 * tables and by a protocol number, so that those of a killed process can be told and removed.
 */

import type { Family, IpAddress } from "../../lib/base/ip.ts";
import { ipBatch, ipList } from "./ip_command.ts";

/** Routing tables, in the order of their lookup. */
export const Table = { resources: 0x2021fd00, links: 0x2021fd01, internet: 0x2021fd02 } as const;

/** `protocol` of our rules and routes: who made them. */
export const PROTOCOL = 70;

const RULES = [
  { priority: 100, table: Table.resources },
  { priority: 200, table: Table.links },
  { priority: 300, table: Table.internet },
] as const;
const BYPASS_PRIORITY = 90;

/** Adds the rules of one family. Returns what failed. */
export async function addRules(family: Family, mark: number): Promise<string[]> {
  const present = new Set(
    (await ourRules(family)).filter(({ isBypass }) => !isBypass).map(({ command }) => command),
  );
  const wanted = RULES.map(({ priority, table }) => tableRule(priority, table, mark));
  return await ipBatch(family, wanted.filter((rule) => !present.has(rule)).map((rule) => `rule add ${rule}`));
}

/** Makes `destinations` exactly what passes the tunnel by. Returns what failed. */
export async function setBypassRules(family: Family, destinations: readonly IpAddress[]): Promise<string[]> {
  const present = (await ourRules(family)).filter(({ isBypass }) => isBypass).map(({ command }) => command);
  const wanted = destinations.filter((address) => address.family === family).map(bypassRule);
  return await ipBatch(family, [
    ...wanted.filter((rule) => !present.includes(rule)).map((rule) => `rule add ${rule}`),
    ...present.filter((rule) => !wanted.includes(rule)).map((rule) => `rule del ${rule}`),
  ]);
}

/** Returns every rule of ours. */
export async function listRules(family: Family): Promise<string[]> {
  return (await ourRules(family)).map(({ command }) => command);
}

/** Removes every rule of ours. Returns the rules removed. */
export async function removeRules(family: Family): Promise<string[]> {
  const commands = await listRules(family);
  const failures = await ipBatch(family, commands.map((rule) => `rule del ${rule}`));
  return commands.filter((rule) => !failures.some((failure) => failure.includes(rule)));
}

interface OwnRule {
  readonly isBypass: boolean;
  /** What follows `ip rule add`. */
  readonly command: string;
}

async function ourRules(family: Family): Promise<OwnRule[]> {
  const rules: OwnRule[] = [];
  for (const rule of await ipList(family, ["rule", "show"])) {
    const { priority, table, fwmark, dst } = rule;
    if (RULES.some((own) => String(own.table) === table) && "not" in rule && typeof fwmark === "string") {
      const command = tableRule(
        Number(priority),
        Number(table),
        Number(fwmark),
        String(rule.protocol ?? PROTOCOL),
      );
      rules.push({ isBypass: false, command });
    } else if (priority === BYPASS_PRIORITY && table === "main" && typeof dst === "string" && isOurs(rule)) {
      rules.push({ isBypass: true, command: bypassRule(dst) });
    }
  }
  return rules;
}

function isOurs(entry: Record<string, unknown>): boolean {
  return String(entry.protocol) === String(PROTOCOL);
}

function tableRule(priority: number, table: number, mark: number, protocol = String(PROTOCOL)): string {
  return `not fwmark 0x${mark.toString(16)} table ${table} priority ${priority} protocol ${protocol}`;
}

function bypassRule(destination: IpAddress | string): string {
  return `to ${destination} table main priority ${BYPASS_PRIORITY} protocol ${PROTOCOL}`;
}
