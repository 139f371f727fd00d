/**
 * Firewalls that drop what is forwarded unless told otherwise (Docker's, ufw's): an accept in a table of ours would not
 * overrule them, so two rules with our mark go to the head of such chains, and leave with us.
 */

import type { Log } from "../../lib/base/log.ts";
import { nft, nftList, type NftObject } from "./nft.ts";

/** Comment by which our rules are found again. */
const MARK = "fz-gateway";

/** Lets packets of `device` pass all chains that drop forwarded packets by default. Throws a Fault. */
export async function openForwardChains(device: string, log: Log): Promise<void> {
  const chains = (await nftList("chain", ["chains"])).filter(({ hook, policy }) =>
    hook === "forward" && policy === "drop"
  );
  const rules = chains.flatMap(({ family, table, name }) =>
    ["iifname", "oifname"].map((side) =>
      `insert rule ${family} ${table} ${name} ${side} "${device}" accept comment "${MARK}"\n`
    )
  );
  if (rules.length === 0) return;
  await nft(rules.join(""));
  log.info("a firewall drops forwarded packets; made an exception for the tunnel", { chains: chains.length });
}

/** Takes all rules with our mark away. Throws a Fault. */
export async function closeForwardChains(): Promise<void> {
  const rules = (await nftList("rule", ["ruleset"])).filter(isOurs);
  const commands = rules.map(({ family, table, chain, handle }) =>
    `delete rule ${family} ${table} ${chain} handle ${handle}\n`
  );
  if (commands.length > 0) await nft(commands.join(""));
}

function isOurs({ comment, handle }: NftObject): boolean {
  return comment === MARK && handle !== undefined;
}
