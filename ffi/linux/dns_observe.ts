/** Looks at what manages this machine's DNS: files, mounts, the system bus, tools. Changes nothing. */

import { ok } from "../../lib/base/result.ts";
import { chooseDnsControl, type DnsChoice, type DnsObservation } from "../../lib/host/dns_choice.ts";
import { runTool } from "../command.ts";
import { BUS, type Bus } from "./dbus/bus.ts";
import { getProperty, withBus } from "./dbus/properties.ts";
import { folderOf, isMounted } from "./file_change.ts";
import { backupOf, hasMarker } from "./resolv_conf.ts";
import { findResolvconf } from "./resolvconf_tool.ts";
import { MAX_FILE_BYTES, readFileStart, readSmallFile, UnfitFile } from "./small_file.ts";
import { isWritable } from "./writable.ts";

/** Returns what was seen. `resolvConfPath` is for tests. Never throws. */
export async function observeDns(resolvConfPath = "/etc/resolv.conf"): Promise<DnsObservation> {
  const services = await observeBus() ?? {
    busNames: undefined,
    resolved: await answersByTool() ? "tool" as const : undefined,
    networkManager: undefined,
  };
  return {
    os: "linux",
    uid: Deno.uid() ?? undefined,
    resolvConf: observeFile(resolvConfPath),
    hostSources: hostSources(readStart("/etc/nsswitch.conf")),
    ...services,
    resolvconf: findResolvconf(),
    isContainer: isContainer(),
    isWsl: /microsoft/i.test(readStart("/proc/sys/kernel/osrelease")),
  };
}

/** Returns the control that fits this machine. */
export async function chooseDns(): Promise<DnsChoice> {
  return chooseDnsControl(await observeDns());
}

function observeFile(path: string): DnsObservation["resolvConf"] {
  // Ours, while a session runs or after it was killed, hides what counts.
  const kept = backupOf(path);
  const shown = hasMarker(readStart(path)) && linkTarget(kept) !== undefined ? kept : path;
  const link = linkTarget(shown);
  const real = quietly(() => Deno.realPathSync(shown));
  return {
    exists: real !== undefined,
    target: link === undefined ? undefined : real ?? resolve(link, folderOf(path)),
    text: readStart(shown),
    flaw: flawOf(path),
    isMount: isMounted(path),
    isWritable: isWritable(path),
    isDirectoryWritable: isWritable(folderOf(path)),
  };
}

/** Returns what the system bus knows; undefined where there is none. */
async function observeBus(): Promise<
  Pick<DnsObservation, "busNames" | "resolved" | "networkManager"> | undefined
> {
  const seen = await withBus(async (bus) => {
    const names = await namesOf(bus, "ListNames");
    const hasResolved = names.includes(RESOLVED) ||
      ((await namesOf(bus, "ListActivatableNames")).includes(RESOLVED) && await answers(bus));
    const networkManager = names.includes(NETWORK_MANAGER) ? await managerOf(bus) : undefined;
    return ok({ busNames: names, resolved: hasResolved ? "bus" as const : undefined, networkManager });
  }, LIMIT_MS);
  return seen.ok ? seen.value : undefined;
}

async function namesOf(bus: Bus, member: "ListNames" | "ListActivatableNames"): Promise<string[]> {
  const named = await bus.call({ ...BUS, member });
  const list = named.ok ? named.value[0] : undefined;
  return Array.isArray(list) ? list.filter((name) => typeof name === "string") : [];
}

/** A service that can be started may be switched off, and the bus then says so. */
async function answers(bus: Bus): Promise<boolean> {
  const member = "Ping";
  const call = { destination: RESOLVED, path: "/org/freedesktop/resolve1", interface: PEER, member } as const;
  return (await bus.call(call)).ok;
}

async function managerOf(bus: Bus): Promise<NonNullable<DnsObservation["networkManager"]>> {
  const object = {
    destination: NETWORK_MANAGER,
    path: "/org/freedesktop/NetworkManager/DnsManager",
    interface: "org.freedesktop.NetworkManager.DnsManager",
  };
  const [mode, rcManager] = [
    await getProperty(bus, object, "Mode"),
    await getProperty(bus, object, "RcManager"),
  ];
  const text = (got: typeof mode) => got.ok && typeof got.value === "string" ? got.value : "unknown";
  return { mode: text(mode), rcManager: text(rcManager) };
}

async function answersByTool(): Promise<boolean> {
  const { code } = await runTool("resolvectl", ["status", "--no-pager"], { limitMs: LIMIT_MS }).catch(() => ({
    code: 1,
  }));
  return code === 0;
}

/** Returns the sources of host names in the text of nsswitch.conf(5); undefined if it does not say. */
export function hostSources(text: string): string[] | undefined {
  const line = /^\s*hosts:([^#\n]*)/m.exec(text)?.[1];
  return line?.replace(/\[[^\]]*\]/g, " ").trim().split(/\s+/).filter((word) => word !== "");
}

function isContainer(): boolean {
  return ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
    .some((path) => quietly(() => Deno.statSync(path)) !== undefined) ||
    Deno.env.get("KUBERNETES_SERVICE_HOST") !== undefined || Deno.env.get("container") !== undefined;
}

function readStart(path: string): string {
  return new TextDecoder().decode(quietly(() => readFileStart(path, MAX_FILE_BYTES)));
}

function flawOf(path: string): string | undefined {
  try {
    readSmallFile(path);
    return undefined;
  } catch (error) {
    return error instanceof UnfitFile ? error.message : undefined;
  }
}

function linkTarget(path: string): string | undefined {
  return quietly(() => Deno.readLinkSync(path));
}

function resolve(target: string, folder: string): string {
  if (target.startsWith("/")) return target;
  const parts: string[] = [];
  for (const part of `${folder}/${target}`.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const RESOLVED = "org.freedesktop.resolve1";
const NETWORK_MANAGER = "org.freedesktop.NetworkManager";
const PEER = "org.freedesktop.DBus.Peer";
/** The start waits for it. */
const LIMIT_MS = 3000;
