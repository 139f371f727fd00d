/**
 * DNS by resolvconf(8), Debian's or openresolv: a record of ours, before all others. openresolv takes it as the only one;
 * Debian's adds the others behind it, where the C library asks them only when ours does not answer.
 */

import { Fault } from "../../lib/base/fault.ts";
import type { IpAddress } from "../../lib/base/ip.ts";
import type { Log } from "../../lib/base/log.ts";
import { type Journal, NO_JOURNAL } from "../../lib/host/journal.ts";
import type { Resolver, SystemDns, SystemDnsOptions } from "../platform.ts";
import { runTool, type ToolOutcome } from "../command.ts";
import { look, read, watchFile } from "./file_change.ts";
import { type NamedResolver, parseResolvConf, searchList } from "./resolv_conf.ts";
import {
  findResolvconf,
  parseRecords,
  readRecords,
  RECORD_FOLDERS,
  recordName,
  type ResolvconfRecord,
} from "./resolvconf_tool.ts";
import { withScopes } from "./scope.ts";
import { isWritable } from "./writable.ts";

export class ResolvconfDns implements SystemDns {
  readonly control = "resolvconf";
  readonly #device: string;
  readonly #isSentinel: (address: IpAddress) => boolean;
  readonly #journal: Journal;
  readonly #log: Log;
  /** The record that we gave, and its text. */
  #given: ResolvconfRecord | undefined;
  #known: { readonly key: string; readonly records: ResolvconfRecord[] } | undefined;

  constructor({ device, isSentinel, journal, log }: SystemDnsOptions) {
    this.#device = device;
    this.#isSentinel = isSentinel;
    this.#journal = journal ?? NO_JOURNAL;
    this.#log = log;
  }

  // deno-lint-ignore require-await
  async check(): Promise<void> {
    const kind = this.#kind();
    const target = realPath(RESOLV_CONF);
    if (kind === "debian" && target?.startsWith("/run/resolvconf/") !== true) {
      throw new Fault("dns", `Cannot use resolvconf: ${RESOLV_CONF} does not lead to its file`, {
        next: NEXT,
      });
    }
    // What it has not made yet, it makes in /run.
    const place = ["/run/resolvconf", "/run"].find((folder) => look(folder).exists)!;
    if (!isWritable(place)) {
      const code = Deno.uid() === 0 ? "dns" : "privilege";
      throw new Fault(code, `Cannot use resolvconf: ${place} cannot be written`, {
        next: code === "privilege" ? "Run as root, or leave DNS alone with --dns-control disabled." : NEXT,
      });
    }
  }

  async upstreams(): Promise<Resolver[]> {
    const isOther = ({ address }: NamedResolver) => !this.#isSentinel(address) && !address.isUnspecified;
    const others = (await this.#others()).flatMap(({ text }) => parseResolvConf(text).nameservers).filter(
      isOther,
    );
    // A forwarder on this machine gets its own servers from the same records, ours included.
    const real = others.filter(({ address }) => !address.isLoopback);
    if (real.length > 0) return withScopes(real);
    // What is written by hand before, or behind, all records.
    const file = parseResolvConf(readQuietly(RESOLV_CONF)).nameservers.filter(isOther);
    return withScopes(this.#given === undefined ? file : file.filter(({ address }) => !address.isLoopback));
  }

  async set(sentinels: readonly IpAddress[], searchDomain: string | undefined): Promise<void> {
    if (sentinels.length === 0) return void await this.undo();
    const kind = this.#kind();
    const name = recordName(kind, this.#device, readQuietly(INTERFACE_ORDER));
    // An only record must carry the search list of the others.
    const host = (await this.#others()).flatMap(({ text }) => parseResolvConf(text).search);
    const search = searchList(host, searchDomain);
    const text = [
      ...sentinels.slice(0, MAX_NAMESERVERS).map((address) => `nameserver ${address}`),
      ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ].join("\n");
    this.#journal.note({ id: `resolvconf:${name}`, type: "resolvconf", record: name });
    this.#given = { name, text };
    const options = kind === "openresolv" ? ["-m", "0", "-x"] : [];
    const outcome = await resolvconf([...options, "-a", name], `${text}\n`);
    if (outcome.code !== 0) throw refusal(outcome, Deno.uid() !== 0);
    if (await this.isInForce()) return;
    const first = parseResolvConf(readQuietly(RESOLV_CONF)).nameservers[0]?.address;
    throw new Fault("dns", `Cannot set DNS: resolvconf puts ${first ?? "nothing"} before our record`, {
      next: NEXT,
    });
  }

  async flush(): Promise<void> {}

  // deno-lint-ignore require-await
  async isInForce(): Promise<boolean> {
    if (this.#given === undefined) return true;
    const { name, text } = this.#given;
    const record = readRecords()?.find((one) => one.name === name);
    const named = (of: string) => parseResolvConf(of).nameservers.map(({ address }) => String(address));
    if (record !== undefined && named(record.text).join() !== named(text).join()) return false;
    const [first] = named(readQuietly(RESOLV_CONF));
    if (first === undefined || (record === undefined && readRecords() !== undefined)) return false;
    // A forwarder of openresolv's is told of our record, and of no other.
    return named(text).includes(first) || (findResolvconf() === "openresolv" && /^(127\.|::1$)/.test(first));
  }

  watch(onChange: () => void): { close(): void } {
    const watches = [RESOLV_CONF, ...RECORD_FOLDERS].map((path) => watchFile(path, onChange));
    return { close: () => watches.forEach((watch) => watch.close()) };
  }

  async undo(): Promise<boolean> {
    const given = this.#given;
    this.#given = undefined;
    if (given === undefined) return false;
    const wasThere = await undoResolvconf(given.name);
    this.#journal.forget(`resolvconf:${given.name}`);
    if (!wasThere) this.#log.debug("somebody removed our record of resolvconf");
    return wasThere;
  }

  #kind(): "debian" | "openresolv" {
    const kind = findResolvconf();
    if (kind === "debian" || kind === "openresolv") return kind;
    const state = kind === undefined
      ? "it is not installed"
      : "it is systemd's, which is only a name of resolvectl";
    throw new Fault("dns", `Cannot use resolvconf: ${state}`, {
      next: kind === undefined ? NEXT : "Use --dns-control systemd-resolved.",
    });
  }

  /** The records of others, in resolvconf's own order. */
  async #others(): Promise<ResolvconfRecord[]> {
    const files = readRecords();
    const key = files === undefined ? undefined : JSON.stringify(files);
    if (key === undefined || this.#known?.key !== key) {
      const { code, stdout } = await resolvconf(["-l"]).catch(() => ({ code: 1, stdout: "" }));
      const records = code === 0 ? parseRecords(stdout) : files ?? [];
      this.#known = { key: key ?? "", records };
    }
    // Ours, also that of a killed process, names nobody else.
    return this.#known.records.filter(({ name, text }) => {
      const { nameservers } = parseResolvConf(text);
      return name !== this.#given?.name &&
        (nameservers.length === 0 || nameservers.some(({ address }) => !this.#isSentinel(address)));
    });
  }
}

/** Takes the record `name` back, also one of a killed process; returns whether it was there. Throws a Fault if it stays. */
export async function undoResolvconf(name: string): Promise<boolean> {
  const find = () => readRecords()?.find((record) => record.name === name);
  const ours = find();
  if (ours === undefined && readRecords() !== undefined) {
    // Who took it away may have been killed before the file was written anew.
    await resolvconf(["-u"]).catch(() => {});
    return false;
  }
  const outcome = await resolvconf(findResolvconf() === "openresolv" ? ["-f", "-d", name] : ["-d", name])
    // Without the program, its records are nothing but files that nobody reads.
    .catch(() => undefined);
  if (outcome !== undefined && outcome.code !== 0 && (find() !== undefined || isFirst(ours))) {
    throw refusal(outcome, Deno.uid() !== 0);
  }
  return outcome !== undefined;
}

/** Returns whether the C library still asks whom `record` names. */
function isFirst(record: ResolvconfRecord | undefined): boolean {
  const [first] = parseResolvConf(readQuietly(RESOLV_CONF)).nameservers;
  const [given] = parseResolvConf(record?.text ?? "").nameservers;
  return first !== undefined && given !== undefined && first.address.equals(given.address);
}

async function resolvconf(args: readonly string[], input?: string): Promise<ToolOutcome> {
  return await runTool("resolvconf", args, { next: NEXT, ...(input === undefined ? {} : { input }) });
}

function refusal({ code, stderr }: ToolOutcome, isUser: boolean): Fault {
  const words = stderr.trim().split("\n").at(-1);
  return new Fault(
    isUser ? "privilege" : "dns",
    `Cannot set DNS: resolvconf said: ${words || `code ${code}`}`,
    {
      next: isUser ? "Run as root, or leave DNS alone with --dns-control disabled." : NEXT,
    },
  );
}

function realPath(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch {
    return undefined;
  }
}

function readQuietly(path: string): string {
  try {
    return read(path);
  } catch {
    return "";
  }
}

const RESOLV_CONF = "/etc/resolv.conf";
const INTERFACE_ORDER = "/etc/resolvconf/interface-order";
const MAX_NAMESERVERS = 3;
const NEXT = "Choose another way with --dns-control etc-resolv-conf, or --dns-control disabled.";
