/**
 * `fz bundle`: an archive for whoever helps, of what the session and the machine say, without what is private
 * (`lib/control/redact.ts`). It works without a session, too: then it holds what can be had.
 */

import { createTar } from "nanotar";
import { utf8 } from "../../lib/base/bytes.ts";
import { Fault } from "../../lib/base/fault.ts";
import type { BundleReport, BundleRequest } from "../../lib/control/bundle.ts";
import { Redactor } from "../../lib/control/redact.ts";
import { VERSION } from "../../lib/control/version.ts";
import { openOutput } from "../output_file.ts";
import { versionFacts } from "../version_facts.ts";
import { machineParts } from "./machine.ts";
import { MAX_PART_LENGTH, type Part, part } from "./parts.ts";
import { privateWords } from "./private_words.ts";
import { sessionParts } from "./session.ts";

interface BundleFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Writes the archive. Throws a Fault ("usage") if the file cannot be written, with nothing left behind. */
export async function makeBundle(request: BundleRequest, signal: AbortSignal): Promise<BundleReport> {
  const createdAt = new Date();
  const path = request.path ?? defaultName(createdAt);
  // Before all the work, and so that two at once do not get into each other's way.
  const output = openOutput(path, request);
  try {
    const parts = await gather(request, signal);
    if (signal.aborted) throw new Fault("usage", "Cannot write the bundle: it was called off");
    const redactor = new Redactor(await privateWords(parts, request), { secretsOnly: !request.redact });
    const files = parts.flatMap((one) => render(one, redactor));
    const missing = parts.filter((one) => one.type === "missing")
      .map(({ name, reason }) => ({ name, reason: redactor.text(reason) }));
    const manifest = {
      schema: 1,
      program: `fz ${VERSION}`,
      created: createdAt.toISOString(),
      redacted: request.redact,
      files: files.map(({ name, bytes }) => ({ name, size: bytes.length })),
      missing,
      replaced: redactor.counts,
    };
    const manifestFile = {
      name: "manifest.json",
      bytes: utf8(`${JSON.stringify(manifest, undefined, 2)}\n`),
    };
    const archive = await pack(
      [{ name: "README.txt", bytes: utf8(README) }, manifestFile, ...files],
      createdAt,
    );
    output.write(archive);
    return { path, size: archive.length, files: manifest.files, replaced: manifest.replaced, missing };
  } catch (error) {
    if (path !== "-") await Deno.remove(path).catch(() => {});
    throw error;
  } finally {
    output.close();
  }
}

const README =
  `This archive was made by \`fz bundle\` to help find out why a session does not work as it should.

manifest.json says what is in here, what could not be had, and how many things were replaced.
If it says "redacted": true, names, addresses and identifiers are pseudonyms: "private-ipv4-3" is the same
address in all files. Only the machine that made the archive knew which one, and it has forgotten.
Secrets (tokens, keys, passwords) are in no archive.

session/   what the session said about itself; missing if none ran
log/       the last records of its log ("left": of the last session in the background)
machine/   the system, its network and its resolvers
`;

async function gather(request: BundleRequest, signal: AbortSignal): Promise<Part[]> {
  const [session, machine, version] = await Promise.all([
    sessionParts(request, signal),
    machineParts(),
    part("version.json", async () => ({
      type: "document",
      name: "version.json",
      value: { fz: VERSION, ...await versionFacts() },
    })),
  ]);
  return [version, environmentPart(), ...request.documents, ...session, ...machine];
}

/** Which of our variables are set. Their values show in the settings, where secrets are known as such. */
function environmentPart(): Part {
  const names = Object.keys(Deno.env.toObject()).filter((name) => /^(?:FZ|FIREZONE)_/.test(name)).sort();
  return { type: "document", name: "environment.json", value: { set: names } };
}

function render(one: Part, redactor: Redactor): BundleFile[] {
  switch (one.type) {
    case "missing":
      return [];
    case "document":
      return [file(one.name, `${JSON.stringify(redactor.value(one.value), undefined, 2)}\n`)];
    case "lines":
      return [
        file(one.name, one.values.map((value) => `${JSON.stringify(redactor.value(value))}\n`).join("")),
      ];
    case "text":
      return [file(one.name, one.text.split("\n").map((line) => redactor.text(line)).join("\n"))];
  }
}

function file(name: string, text: string): BundleFile {
  return { name, bytes: utf8(text.length > MAX_PART_LENGTH ? text.slice(-MAX_PART_LENGTH) : text) };
}

async function pack(files: readonly BundleFile[], createdAt: Date): Promise<Uint8Array> {
  const attrs = { mode: "600", uid: 0, gid: 0, user: "", group: "", mtime: createdAt.getTime() };
  const tar = createTar(files.map(({ name, bytes }) => ({ name: `fz-bundle/${name}`, data: bytes })), {
    attrs,
  });
  const packed = new Blob([new Uint8Array(tar)]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

function defaultName(now: Date): string {
  return `fz-bundle-${now.toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15)}.tar.gz`;
}
