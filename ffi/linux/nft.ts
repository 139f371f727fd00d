/** The `nft` tool (nft(8), libnftables-json(5)): rules as text in, facts as JSON out. */

import { Fault } from "../../lib/base/fault.ts";
import { runTool } from "../command.ts";

const NEXT = "Install the package nftables, or run with --no-masquerade.";

/** Loads `rules`, all or none. Throws a Fault ("privilege", "unexpected"). */
export async function nft(rules: string): Promise<void> {
  const { code, stderr } = await runTool("nft", ["-f", "-"], { input: rules, next: NEXT });
  if (code === 0) return;
  const isForbidden = /not permitted|Permission denied/.test(stderr);
  throw new Fault(
    isForbidden ? "privilege" : "unexpected",
    `Cannot load nftables rules: ${stderr.trim().split("\n")[0]}`,
    { next: isForbidden ? "Run as root, or with --no-masquerade." : "Run with --no-masquerade." },
  );
}

/** Returns the objects of kind `kind` that `nft -j list …` tells of; none if it fails. */
export async function nftList(kind: "chain" | "rule", list: readonly string[]): Promise<NftObject[]> {
  const { code, stdout } = await runTool("nft", ["-j", "-a", "list", ...list], { next: NEXT });
  if (code !== 0) return [];
  try {
    const { nftables }: { nftables?: Record<string, NftObject>[] } = JSON.parse(stdout);
    return (nftables ?? []).flatMap((entry) => entry[kind] ?? []);
  } catch {
    return [];
  }
}

/** The fields of chains and rules that matter here. */
export interface NftObject {
  readonly family: string;
  readonly table: string;
  /** Of a chain. */
  readonly name?: string;
  readonly hook?: string;
  readonly policy?: string;
  /** Of a rule. */
  readonly chain?: string;
  readonly handle?: number;
  readonly comment?: string;
}
