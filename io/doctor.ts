/** Gathers what `fz doctor` judges (`lib/control/doctor.ts`). Reads only; nothing on the machine changes. */

import { platform as thisPlatform } from "../ffi/mod.ts";
import { Fault } from "../lib/base/fault.ts";
import { silentLog } from "../lib/base/log.ts";
import { DEFAULT_TUN_NAME } from "../lib/control/config.ts";
import {
  type DnsFacts,
  type DoctorFacts,
  type DoctorQuestion,
  type SessionFacts,
  udpOf,
} from "../lib/control/doctor.ts";
import { pathsOf, sessionPaths } from "../lib/control/paths.ts";
import { connectControl } from "./control/client.ts";
import { dnsOutlook } from "./dns_outlook.ts";
import { canRemain, describeChange } from "../lib/host/journal.ts";
import { peekJournal, thisKernel } from "./journal.ts";
import { machineNetworks } from "./machine_networks.ts";
import { pathContext } from "./path_context.ts";
import { readSessionTrace } from "./service/session_file.ts";
import { readTokenFile } from "./token_file.ts";

/** Returns what was seen on this machine. What cannot be seen is left out; never throws. */
export async function doctorFacts(question: DoctorQuestion): Promise<DoctorFacts> {
  const isLinux = Deno.build.os === "linux";
  const { portal, relays } = question.network;
  const [session, dns, credential] = await Promise.all([
    sessionFacts(isLinux),
    isLinux ? dnsFacts(question) : undefined,
    credentialFacts(question.tokenPath),
  ]);
  return {
    os: Deno.build.os,
    privileges: isLinux ? (await import("../ffi/linux/privileges.ts")).readPrivileges() : undefined,
    dns,
    rpFilter: isLinux ? await rpFilters(question.tunName) : {},
    release: isLinux ? Deno.osRelease() : undefined,
    bufferLimits: {
      receive: await readNumber("/proc/sys/net/core/rmem_max"),
      send: await readNumber("/proc/sys/net/core/wmem_max"),
    },
    // Where the system does not tell there is nothing to say.
    hasPath: (await (await thisPlatform()).networkPath(question.tunName ?? DEFAULT_TUN_NAME)) !== "",
    networks: isLinux ? await machineNetworks(question.tunName ?? DEFAULT_TUN_NAME) : [],
    otherClients: isLinux ? await otherClients() : [],
    session,
    clockSkewMs: portal.clockSkewMs,
    portal: { url: question.apiUrl, failure: portal.failure },
    udp: udpOf(relays),
    credential: { ...credential, variable: question.tokenVariable },
    settingsFailure: question.settingsFailure,
  };
}

/** The session that runs knows better than anybody who looks from outside. */
async function dnsFacts(question: DoctorQuestion): Promise<DnsFacts> {
  const outlook = await dnsOutlook(question);
  try {
    const control = await connectControl("read");
    const { control: way, reason, evidence, repairs = 0, problem, systemResolvers } = await control.ask(
      "dns",
      {},
    );
    return {
      control: way,
      reason: reason ?? outlook.reason,
      evidence: evidence ?? outlook.evidence,
      failure: undefined,
      isAsked: outlook.isAsked,
      resolvers: systemResolvers.length,
      addresses: systemResolvers,
      session: { repairs, problem },
    };
  } catch {
    return outlook;
  }
}

async function sessionFacts(isLinux: boolean): Promise<SessionFacts> {
  const context = pathContext();
  for (const paths of sessionPaths(context)) {
    const trace = await readSessionTrace(paths).catch(() => ({ type: "none" } as const));
    if (trace.type === "alive") {
      return { state: "running", pid: trace.record.pid, leftovers: [], degraded: await degraded() };
    }
    if (trace.type === "killed") {
      return { state: "killed", pid: trace.record?.pid, leftovers: isLinux ? await leftovers() : [] };
    }
  }
  return { state: "none", pid: undefined, leftovers: isLinux ? await leftovers() : [] };
}

/** What the session says that it cannot do on this machine. */
async function degraded(): Promise<readonly string[]> {
  try {
    const control = await connectControl("read");
    return (await control.ask("status", {})).network?.degraded ?? [];
  } catch {
    // It may not be asked, or is about to end.
    return [];
  }
}

async function leftovers(): Promise<readonly string[]> {
  const platform = await thisPlatform();
  const options = { device: "", mtu: 0, mark: 0, routing: "policy", log: silentLog } as const;
  const network = platform.createHostNetwork(options);
  // Those of a client that runs, upstream's for instance, are no leftovers.
  if (await network.otherDevice().catch(() => undefined) !== undefined) return [];
  const here = thisKernel();
  const noted = peekJournal(pathsOf(pathContext()))
    .filter((entry) => entry.change.type !== "network" && canRemain(entry, here))
    .map(({ change }) => describeChange(change));
  return [...await network.present().catch(() => []), ...noted];
}

async function rpFilters(tunName = DEFAULT_TUN_NAME): Promise<Readonly<Record<string, number>>> {
  const filters: Record<string, number> = {};
  try {
    for await (const { name } of Deno.readDir("/proc/sys/net/ipv4/conf")) {
      const value = name === tunName
        ? undefined
        : await readNumber(`/proc/sys/net/ipv4/conf/${name}/rp_filter`);
      if (value !== undefined) filters[name] = value;
    }
  } catch {
    // Hidden by a container or a unit: then there is nothing to say.
  }
  return filters;
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = await Deno.readTextFile(path).catch(() => "");
  return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** Programs that are clients, by the names that the kernel keeps of them (15 characters). */
async function otherClients(): Promise<DoctorFacts["otherClients"]> {
  const found: { name: string; pid: number }[] = [];
  try {
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const comm = (await Deno.readTextFile(`/proc/${name}/comm`).catch(() => "")).trim();
      if (UPSTREAM_CLIENTS.some((client) => client.slice(0, 15) === comm)) {
        found.push({ name: comm, pid: Number(name) });
      }
    }
  } catch {
    // Hidden from us.
  }
  const context = pathContext();
  const own = pathsOf(context);
  for (const paths of sessionPaths(context)) {
    if (paths.sessionFile === own.sessionFile) continue;
    const trace = await readSessionTrace(paths).catch(() => ({ type: "none" } as const));
    if (trace.type === "alive") found.push({ name: "fz", pid: trace.record.pid });
  }
  return found;
}

async function credentialFacts(path: string): Promise<DoctorFacts["credential"]> {
  try {
    return { path, exists: (await readTokenFile(path))?.trim() !== undefined, failure: undefined };
  } catch (error) {
    return { path, exists: true, failure: error instanceof Fault ? error.message : String(error) };
  }
}

const UPSTREAM_CLIENTS = ["firezone-headless-client", "firezone-client-tunnel", "firezone-client-gui"];
