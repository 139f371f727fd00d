/**
 * Root's sessions give up every right that their role does not need, before they read a token or touch the machine: the
 * process becomes the same program anew, with the same process id (ffi/linux/capabilities.ts, docs/decisions/0024).
 */

import { becomeReduced, joinGroup, readCredentials } from "../ffi/linux/capabilities.ts";
import { hideVariable } from "../ffi/linux/environment.ts";
import { makeTunDevice } from "../ffi/linux/privileges.ts";
import { Capability, type CapabilitySet, capabilitySet, keptForFiles } from "../lib/host/capabilities.ts";
import { hasCapability } from "../lib/host/capabilities.ts";
import type { ReductionRequest } from "../lib/control/config.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { findReadersGroup } from "./control/listeners.ts";
import { needOf } from "./file_needs.ts";
import { pathContext } from "./path_context.ts";
import { programFiles } from "./program_files.ts";
import { noteTunHolders } from "./tun_holder.ts";

/** Tells the new image that it is one: the reasons for what was kept, a line each. */
const MARK = "FZ_REDUCED";

/**
 * Gives up what the role of `request` does not need, if this is root with more than that; it then begins anew and does
 * not return the first time. Whoever this is, /proc shows its token no more. Returns why something was kept that need not
 * be there, a sentence each.
 */
export function reducePrivileges(request: ReductionRequest): readonly string[] {
  if (Deno.build.os !== "linux") return [];
  hideVariable("FIREZONE_TOKEN");
  if (Deno.uid() !== 0) return [];
  const mark = Deno.env.get(MARK);
  Deno.env.delete(MARK);
  if (mark !== undefined) return mark.split("\n").filter((line) => line !== "");
  const credentials = readCredentials();
  if (credentials === undefined) return [];
  const needed = neededBy(request);
  const { permitted, bounding, effective } = credentials;
  if (((permitted | bounding) & ~needed) === 0n) return [];
  // Without it nothing can be given up for good; containers without it have little to give up.
  if (!hasCapability(effective, Capability.SETPCAP)) return [];
  const group = findReadersGroup();
  const groups = group === undefined ? credentials.groups : [...credentials.groups, group];
  const kept = keptForFiles(groups, fileNeeds(request));
  prepare(request, group, credentials.groups);
  Deno.env.set(MARK, kept.reasons.map((reason) => reason.replaceAll("\n", " ")).join("\n"));
  const failure = becomeReduced(needed | kept.set);
  Deno.env.delete(MARK);
  return [`the kernel refused to take rights away (error ${failure})`];
}

function neededBy({ role, port }: ReductionRequest): CapabilitySet {
  const low = port !== undefined && port > 0 && port < 1024 ? capabilitySet(Capability.NET_BIND_SERVICE) : 0n;
  // The relay's, for socket buffers beyond the machine's limit.
  return capabilitySet(Capability.NET_ADMIN) | (role === "relay" || role === "client" ? low : 0n);
}

/** Does what takes rights that are about to go. */
function prepare(
  { role }: ReductionRequest,
  group: number | undefined,
  groups: readonly number[],
): void {
  if (role === "relay") return;
  // The socket for readers becomes theirs; only a member may give a file to a group.
  if (group !== undefined) joinGroup(group, groups);
  try {
    Deno.lstatSync("/dev/net/tun");
  } catch {
    makeTunDevice();
  }
  noteTunHolders();
}

function fileNeeds({ reads, writes }: ReductionRequest) {
  const { runtime, state, config } = pathsOf(pathContext());
  const events = Deno.env.get("FZ_EVENTS") ?? "";
  return [
    ...[...programFiles(), config, ...reads].map((path) => needOf(absolute(path), "read")),
    ...[state, runtime, "/etc/resolv.conf", events, ...writes]
      .filter((path) => path !== "" && path !== "-")
      .map((path) => needOf(absolute(path), "write")),
  ];
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}
