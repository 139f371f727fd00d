/** The manual as files: `fz(1)`, and a page for each command or group of the first level, from the command tree. */

import type { DocEntry, DocPage } from "@optique/core/doc";
import { formatMessage, type Message } from "@optique/core/message";
import { getDocPageSync } from "@optique/core/parser";
import { formatUsage, formatUsageTerm } from "@optique/core/usage";
import { VERSION, VERSION_DATE } from "../../lib/control/version.ts";
import type { Node } from "../command.ts";
import { environmentTopic } from "../help/environment.ts";
import { exitCodesTopic } from "../help/exit_codes.ts";
import { filesTopic } from "../help/files.ts";
import { TOPICS } from "../help/mod.ts";
import type { Topic } from "../help/topic.ts";
import { routeParser } from "../parser.ts";
import { findRoute, type Route } from "../tree.ts";
import { bold, macroArgument, prose, roff, section, subsection, terms, verbatim } from "./roff.ts";

/** Returns the pages, file name to text. */
export async function manualPages(): Promise<ReadonlyMap<string, string>> {
  const { roots } = await findRoute([]);
  const pages = new Map([["fz.1", mainPage(roots)]]);
  for (const { node } of roots) pages.set(`fz-${node.name}.1`, await commandPage(node));
  return pages;
}

/** Pages show what holds without any variable. */
const NO_ENVIRONMENT = { get: () => undefined, delete: () => {} };

/** Topics that are sections of their own, under the names that manuals give them. */
const SECTIONS: readonly (readonly [title: string, topic: Topic])[] = [
  ["EXIT STATUS", exitCodesTopic],
  ["ENVIRONMENT", environmentTopic],
  ["FILES", filesTopic],
];

const EXAMPLES = [
  "See it work, in a network of its own on this machine:",
  "  fz demo",
  "Sign in, connect, look, disconnect:",
  "  fz sign-in",
  "  fz up",
  "  fz status",
  "  fz down",
  "In a container or a CI job:",
  "  FIREZONE_TOKEN=... fz run",
];

function mainPage(roots: Route["roots"]): string {
  const sections = Map.groupBy(roots, (root) => root.section);
  const explained = TOPICS.filter((topic) => SECTIONS.every(([, shown]) => shown !== topic));
  return page("fz", [
    ...section("NAME", "fz \\- zero\\-trust network access over WireGuard"),
    ...section("SYNOPSIS", `${bold("fz")} COMMAND [OPTION]...`),
    ...section(
      "DESCRIPTION",
      ...prose(
        "A client for Firezone portals, and a whole network of one's own (portal, relay, gateway) in the same " +
          "program. A session runs in the foreground or as a service; other commands ask and steer it over its socket.",
      ),
    ),
    ...section(
      "COMMANDS",
      ...[...sections].flatMap(([title, members]) =>
        subsection(title, ...terms(members.map(({ node }) => [`fz-${node.name}(1)`, plain(node.brief)])))
      ),
    ),
    ...section(
      "OPTIONS",
      ...terms([
        ["-h, --help", "Print help, behind a command that of the command."],
        ["-V, --version", "Print the version."],
      ]),
    ),
    ...explained.flatMap((topic) => section(topic.name.toUpperCase(), ...topicText(topic))),
    ...SECTIONS.flatMap(([title, topic]) => section(title, ...topicText(topic))),
    ...section("EXAMPLES", ...verbatim(EXAMPLES)),
    ...section("SEE ALSO", seeAlso(roots.map(({ node }) => `fz-${node.name}`))),
  ]);
}

async function commandPage(root: Node): Promise<string> {
  const all: Shown[] = [];
  await collect([], root, all);
  const [first, ...others] = all as [Shown, ...Shown[]];
  const variables = new Map(all.flatMap(({ doc }) => variablesOf(doc)));
  const examples = all.flatMap(({ node }) => node.footer === undefined ? [] : examplesIn(node.footer));
  const verbs = others.filter(({ node }) => node.type === "command");
  const isDefault = root.type === "command" || root.default !== undefined;
  return page(`fz-${root.name}`, [
    ...section("NAME", `${roff(`fz-${root.name}`)} \\- ${roff(plain(root.brief).replace(/\.$/, ""))}`),
    ...section("SYNOPSIS", ...synopsis([...(isDefault ? [first] : []), ...verbs])),
    ...section("DESCRIPTION", ...prose(plain(root.description))),
    ...(optionsOf(first.doc).length === 0 ? [] : section("OPTIONS", ...terms(optionsOf(first.doc)))),
    ...(verbs.length === 0 ? [] : section("COMMANDS", ...verbs.flatMap(verbText))),
    ...section(
      "EXIT STATUS",
      ...prose("0 if all went well, else a number for the cause: see EXIT STATUS in fz(1)."),
    ),
    ...(variables.size === 0 ? [] : section("ENVIRONMENT", ...terms([...variables]))),
    ...(examples.length === 0 ? [] : section("EXAMPLES", ...verbatim(examples))),
    ...section("SEE ALSO", seeAlso(["fz"])),
  ]);
}

interface Shown {
  readonly path: readonly string[];
  readonly node: Node;
  readonly doc: DocPage;
}

async function collect(before: readonly string[], node: Node, into: Shown[]): Promise<void> {
  const path = [...before, node.name];
  const doc = getDocPageSync(routeParser(await findRoute(path), NO_ENVIRONMENT), path);
  if (doc !== undefined) into.push({ path, node, doc });
  if (node.type === "group") { for (const inner of node.commands) await collect(path, inner, into); }
}

function verbText({ path, node, doc }: Shown): string[] {
  return subsection(`fz ${path.join(" ")}`, ...prose(plain(node.description)), ...terms(optionsOf(doc)));
}

function synopsis(shown: readonly Shown[]): string[] {
  return shown.flatMap(({ doc, path }, index) => {
    const name = `fz ${path.join(" ")}`;
    const usage = formatUsage("fz", doc.usage ?? []);
    const rest = usage.startsWith(name) ? usage.slice(name.length) : ` ${usage}`;
    return [...(index === 0 ? [] : [".br"]), `${bold(name)}${roff(rest)}`];
  });
}

/** Options and arguments; commands have sections of their own. */
function optionsOf(doc: DocPage): (readonly [term: string, meaning: string])[] {
  return entriesOf(doc).filter(({ term }) => term.type !== "command").map((entry) =>
    [formatUsageTerm(entry.term, { optionsSeparator: ", " }), meaningOf(entry)] as const
  );
}

function entriesOf(doc: DocPage): readonly DocEntry[] {
  return doc.sections.flatMap(({ entries }) => entries);
}

function meaningOf(entry: DocEntry): string {
  const meaning = entry.description === undefined ? "" : plain(entry.description);
  const shown = entry.default === undefined ? "" : plain(entry.default);
  return shown === "" ? meaning : `${meaning} (default ${shown})`;
}

/** Descriptions of options end in the names of their variables: "[FZ_TUN_NAME]". */
function variablesOf(doc: DocPage): (readonly [variable: string, option: string])[] {
  return entriesOf(doc).flatMap((entry) => {
    const found = /\[([A-Z][A-Z0-9_]+(?:, [A-Z][A-Z0-9_]+)*)\]/.exec(meaningOf(entry));
    // The long name, and of a pair the one that switches on.
    const names = entry.term.type === "option" ? entry.term.names : [];
    const option = names.findLast((name) => !name.startsWith("--no-")) ?? names.at(-1);
    return found === null || option === undefined ? [] : [[found[1]!, `Stands in for ${option}.`] as const];
  });
}

function examplesIn(footer: Message): readonly string[] {
  return plain(footer).split("\n").filter((line) => !/^(Examples?:)?\s*$/.test(line));
}

function topicText({ blocks }: Topic): string[] {
  return blocks.flatMap((block, index) => {
    if (typeof block !== "string") return terms(block);
    return [...(index === 0 ? [] : [".PP"]), ...prose(block)];
  });
}

function seeAlso(names: readonly string[]): string {
  return names.map((name) => `${bold(name)}(1)`).join(",\n");
}

function page(name: string, lines: readonly string[]): string {
  const head = [
    '.\\" Made from the command tree by "deno task generate".',
    `.TH ${macroArgument(name.toUpperCase())} 1 ${VERSION_DATE} ${macroArgument(`fz ${VERSION}`)} ${
      macroArgument("fz manual")
    }`,
  ];
  return `${[...head, ...lines].join("\n")}\n`;
}

function plain(message: Message): string {
  return formatMessage(message, { colors: false, quotes: true }).replaceAll("`", "").trim();
}
