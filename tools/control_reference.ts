/** The reference part of docs/control.md: routes and documents, made from the schema and its comments. */

import * as v from "valibot";
import * as api from "../lib/control/api.ts";
import { type Route, type RouteName, ROUTES } from "../lib/control/api.ts";

/** What routes with a request are asked in the examples. */
export const EXAMPLES: Partial<Record<RouteName, unknown>> = {
  log: { follow: true, last: 10, level: "info" },
  dnsQuery: { name: "gitlab.corp.example", type: "AAAA" },
  explain: { target: "gitlab.corp.example", protocol: "tcp", port: 443 },
  wait: { targets: ["GitLab", "10.0.3.7:5432"], timeoutMs: 60_000 },
  ping: { target: "GitLab", count: 3, intervalMs: 1000 },
  setResource: { resource: "GitLab", enabled: false },
  setInternet: { active: true, excluded: ["192.168.0.0/16"], lan: "allow" },
  setLogFilter: { filter: "info,ice=debug" },
  capture: { filter: "tcp port 443", maxBytes: 1_000_000 },
};

const BEGIN = "<!-- made from lib/control/api.ts by `deno task generate`: begin -->";
const END = "<!-- end -->";

/** Returns `page` with its reference made anew. */
export function withReference(page: string, source: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error("docs/control.md has no place for the reference");
  return `${page.slice(0, begin)}${BEGIN}\n\n${reference(source)}\n${page.slice(end)}`;
}

type Schema = v.GenericSchema & {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly options?: readonly (Schema | string)[];
  readonly item?: Schema;
  readonly value?: Schema;
  readonly wrapped?: Schema;
  readonly literal?: unknown;
  readonly pipe?: readonly { readonly type: string; readonly requirement?: unknown }[];
};

const NAMES: ReadonlyMap<unknown, string> = new Map(
  Object.entries(api).filter(([, value]) => isSchema(value)).map(([name, value]) => [value, name]),
);

function reference(source: string): string {
  const comments = commentsIn(source);
  const routes = (Object.entries(ROUTES) as [RouteName, Route][]).map(([name, route]) =>
    routeText(name, route, comments)
  );
  const documents = [...NAMES].map(([schema, name]) => documentText(schema as Schema, name, comments));
  return [`## Routes`, ...routes, `## Documents`, ...documents].join("\n\n");
}

function routeText(name: RouteName, route: Route, comments: Comments): string {
  const { method, path, authority, kind } = route;
  const answer = route.answer as Schema | undefined;
  const request = route.request as Schema;
  const what = answer === undefined
    ? "bytes"
    : kind === "lines"
    ? `one ${typeText(answer)} a line, until either side ends it`
    : NAMES.has(answer)
    ? typeText(answer)
    : "a document";
  const parts = [
    `### ${method} ${path}`,
    `\`${name}\` · authority: ${authority} · answer: ${what}`,
    comments.get("ROUTES")?.get(name) ?? "",
  ];
  if (Object.keys(request.entries ?? {}).length > 0) {
    parts.push(
      comments.get("ROUTES")?.get(`${name}.request`) ?? "",
      "Request:",
      fieldTable(request, name, comments),
    );
  }
  if (answer !== undefined && !NAMES.has(answer)) {
    parts.push(
      comments.get("ROUTES")?.get(`${name}.answer`) ?? "",
      "Answer:",
      fieldTable(answer, name, comments),
    );
  }
  parts.push(exampleText(name, route));
  return parts.filter((part) => part !== "").join("\n\n");
}

function exampleText(name: RouteName, { method, path, kind }: Route): string {
  const options = kind === "json" ? "-s" : "-sN";
  const url = `--unix-socket /run/fz/fz.sock http://fz${path}`;
  // A token in an argument could be read by everyone on the machine.
  const body = name === "credential"
    ? " -d @-"
    : method === "GET"
    ? ""
    : ` -d '${JSON.stringify(EXAMPLES[name] ?? {})}'`;
  const input = name === "credential" ? `jq -R '{token: .}' token-file | ` : "";
  const output = kind === "bytes" && name === "capture" ? " -o fz.pcapng" : "";
  return `\`\`\`sh\n${input}curl ${options} ${url}${body}${output}\n\`\`\``;
}

function documentText(schema: Schema, name: string, comments: Comments): string {
  const parts = [`### ${name}`, comments.get(name)?.get("") ?? ""];
  if (schema.entries !== undefined) parts.push(fieldTable(schema, name, comments));
  else if (schema.type === "variant") {
    for (const option of schema.options as readonly Schema[]) {
      const event = option.entries!.event!.literal;
      const comment = comments.get(name)?.get(`event ${event}`);
      parts.push(`\`"event": ${JSON.stringify(event)}\`${comment === undefined ? "" : `: ${comment}`}`);
      parts.push(fieldTable(option, name, comments));
    }
  } else parts.push(typeText(schema));
  return parts.filter((part) => part !== "").join("\n\n");
}

function fieldTable(schema: Schema, name: string, comments: Comments): string {
  const rows = fieldRows(schema, "").map(([path, field]) => {
    const isOptional = field.type === "optional";
    const own = path.split(".").at(-1)!.replace("[]", "");
    const comment = comments.get(name)?.get(own) ?? "";
    return `| \`${path}\`${isOptional ? " ?" : ""} | ${typeText(field)} | ${
      comment.replaceAll("|", "\\|")
    } |`;
  });
  return ["| field | type | |", "| --- | --- | --- |", ...rows].join("\n");
}

function fieldRows(schema: Schema, prefix: string): (readonly [string, Schema])[] {
  return Object.entries(schema.entries ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const inner = field.type === "optional" ? field.wrapped! : field;
    const item = inner.type === "array" ? inner.item! : inner;
    const isOpen = item.entries !== undefined && !NAMES.has(item);
    return [
      [path, field] as const,
      ...isOpen ? fieldRows(item, `${path}${inner === item ? "" : "[]"}.`) : [],
    ];
  });
}

function typeText(schema: Schema): string {
  const name = NAMES.get(schema);
  if (name !== undefined) return `[${name}](#${name.toLowerCase()})`;
  switch (schema.type) {
    case "optional":
      return typeText(schema.wrapped!);
    case "string":
      return `text${boundText(schema)}`;
    case "number":
      return schema.pipe?.some(({ type }) => type === "integer") ? `integer${boundText(schema)}` : "number";
    case "boolean":
      return "true or false";
    case "literal":
      return `\`${JSON.stringify(schema.literal)}\``;
    case "picklist":
      return (schema.options as readonly string[]).map((option) => `\`${JSON.stringify(option)}\``).join(
        ", ",
      );
    case "array":
      return `list of ${typeText(schema.item!)}${boundText(schema)}`;
    case "record":
      return `object of ${typeText(schema.value!)}`;
    case "object":
    case "loose_object":
      return "object";
    default:
      return "anything";
  }
}

function boundText({ pipe = [] }: Schema): string {
  const most = pipe.find(({ type }) => type === "max_length" || type === "max_value")?.requirement;
  return most === undefined ? "" : `, at most ${most}`;
}

/** Name of an export to name of a field ("" for the export itself) to what is said of it. */
type Comments = ReadonlyMap<string, ReadonlyMap<string, string>>;

function commentsIn(source: string): Comments {
  const found = new Map<string, Map<string, string>>();
  let owner = "";
  let route = "";
  let comment: string | undefined;
  let commentEnd = 0;
  const note = (export_: string, field: string) => {
    if (comment === undefined) return;
    const fields = found.get(export_) ?? new Map<string, string>();
    if (!fields.has(field)) fields.set(field, comment);
    found.set(export_, fields);
  };
  const pattern =
    /\/\*\*([^]*?)\*\/|^export const (\w+)|^ {2}(\w+): \{|^ *(\w+):(?: v\.literal\("(\w+)"\))?/gm;
  for (const match of source.matchAll(pattern)) {
    const [whole, text, exported, opened, field, literal] = match;
    if (text !== undefined) {
      comment = text.replace(/\s*\n\s*\*\s*/g, " ").trim();
      commentEnd = match.index + whole.length;
      continue;
    }
    const between = source.slice(commentEnd, match.index).trim();
    // Of a whole variant, which its event names.
    if (between === "v.object({" && literal !== undefined) note(owner, `event ${literal}`);
    if (between !== "") comment = undefined;
    if (exported !== undefined) note(owner = exported, "");
    else if (opened !== undefined) note(owner, route = opened);
    else if (owner === "ROUTES") {
      note(owner, field === "request" || field === "answer" ? `${route}.${field}` : field!);
    } else note(owner, field!);
    comment = undefined;
  }
  return found;
}

function isSchema(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}
