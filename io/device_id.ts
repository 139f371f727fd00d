/**
 * The name under which the portal knows this machine. The same order as upstream, so that a machine keeps its identity
 * when it changes from one to the other: configured, file, hardware, random. portal-protocol §6.5.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, utf8 } from "../lib/base/bytes.ts";
import { Fault } from "../lib/base/fault.ts";
import { pathsOf } from "../lib/control/paths.ts";
import { writeDraft } from "./draft.ts";
import { holdFolder } from "./held_folder.ts";
import { pathContext } from "./path_context.ts";

/** Whose identity is wanted, and where it is kept. */
export interface DeviceIdOptions {
  readonly role: "client" | "gateway";
  /** From `--firezone-id` or `FIREZONE_ID`. */
  readonly configured?: string | undefined;
  /** Where the identity is kept; defaults to upstream's path, or to an ordinary user's own. */
  readonly path?: string;
  /** Where the machine's own identity is; another path for tests. */
  readonly machineIdPath?: string;
}

/** Returns this machine's id. A random one, made when nothing else is there, is kept in the file. */
export async function deviceId(options: DeviceIdOptions): Promise<string> {
  const known = await knownDeviceId(options);
  if (known !== undefined) return known;
  const id = toHex(sha256(utf8(crypto.randomUUID())));
  writeIdFile(pathOf(options), id);
  return id;
}

/** Returns this machine's id; undefined if it has none yet. */
export async function knownDeviceId(options: DeviceIdOptions): Promise<string | undefined> {
  if (options.configured !== undefined && options.configured !== "") return options.configured;
  return await readIdFile(options.path ?? MACHINE_PATHS[options.role]) ??
    await readIdFile(pathOf(options)) ??
    await hardwareId(options.role, options.machineIdPath ?? "/etc/machine-id");
}

/** Returns what is sent as `external_id`: UUIDs are hashed, anything else goes verbatim. */
export function externalId(id: string): string {
  return UUID.test(id) ? toHex(sha256(utf8(id))) : id;
}

/** Returns the file of a machine's id: upstream's on each system, so that a machine keeps its identity. */
export function machinePath(role: "client" | "gateway", os: string = Deno.build.os): string {
  if (role === "gateway") return "/var/lib/firezone/gateway_id";
  switch (os) {
    case "windows":
      return "C:\\ProgramData\\dev.firezone.client\\config\\firezone-id.json";
    case "darwin":
      return "/Library/Application Support/dev.firezone.client/config/firezone-id.json";
    default:
      return "/var/lib/dev.firezone.client/config/firezone-id.json";
  }
}

function pathOf({ path, role }: DeviceIdOptions): string {
  return path ?? userPath(role) ?? MACHINE_PATHS[role];
}

/** Where an ordinary user, who may not write the machine's, keeps one of his own; undefined for all others. */
function userPath(role: "client" | "gateway"): string | undefined {
  // What systemd made for a service is the machine's, whoever runs it.
  const isMachines = (Deno.env.get("STATE_DIRECTORY") ?? "").split(":").includes(
    folderOf(MACHINE_PATHS[role]),
  );
  const isUser = Deno.build.os !== "windows" && Deno.uid() !== 0 && !isMachines;
  return isUser ? `${pathsOf(pathContext()).state}/${role}-id.json` : undefined;
}

/** Returns the folder of ours that `path` is in, which systemd calls the state's. */
function folderOf(path: string): string {
  return path.split("/").slice(0, 4).join("/");
}

/** Returns the id derived from the machine's own, or undefined if it has none. */
async function hardwareId(role: "client" | "gateway", path: string): Promise<string | undefined> {
  try {
    const content = await Deno.readFile(path);
    // The raw content, newline included: that is what upstream hashes.
    return content.length === 0 ? undefined : toHex(hmac(sha256, utf8(APP_IDS[role]), content));
  } catch {
    return undefined;
  }
}

async function readIdFile(path: string): Promise<string | undefined> {
  try {
    // Opening a pipe would wait for somebody who writes.
    if (!(await Deno.stat(path)).isFile) return undefined;
    using file = await Deno.open(path);
    const bytes = await readAtMost(file, MAX_ID_FILE_BYTES);
    if (bytes === undefined) return undefined;
    const content: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof content !== "object" || content === null || !("id" in content)) return undefined;
    return typeof content.id === "string" && content.id !== "" ? content.id : undefined;
  } catch {
    return undefined;
  }
}

/** Returns all of `file`; undefined if that is more than `limit` bytes. */
async function readAtMost(file: Deno.FsFile, limit: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(limit + 1);
  let length = 0;
  for (let count: number | null = 1; count !== null && length < bytes.length; length += count ?? 0) {
    count = await file.read(bytes.subarray(length));
  }
  return length > limit ? undefined : bytes.subarray(0, length);
}

function writeIdFile(path: string, id: string): void {
  const [, folder, name] = /^(.*)[/\\]([^/\\]*)$/.exec(path)!;
  try {
    using held = holdFolder(folder!, 0o770);
    const draft = `${held.path}/${name}.${Deno.pid}`;
    writeDraft(draft, JSON.stringify({ id }), 0o640, held.owner);
    Deno.renameSync(draft, `${held.path}/${name}`);
  } catch (cause) {
    throw new Fault(
      "privilege",
      `Cannot keep the device id in "${path}": ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
        next: "Run as root, or set FIREZONE_ID.",
      },
    );
  }
}

// The forms that upstream's UUID parser takes: hyphens or none, braces, URN.
const UUID =
  /^(?:urn:uuid:)?(\{?)(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i;

/** An id of any length that the portal takes, and room for what upstream may put beside it. */
const MAX_ID_FILE_BYTES = 16_384;

const APP_IDS = {
  client: "e1e465ce763e4759945c650ac334501f",
  gateway: "753b38f9f96947ef8083802d5909a372",
} as const;

const MACHINE_PATHS = { client: machinePath("client"), gateway: machinePath("gateway") } as const;
