/**
 * Lint rules of this repository: which folder may import which (`fz/import-ranks`), and what the pure core may not
 * touch (`fz/purity`). The type checker keeps the runtime out of `lib/`; these rules hold what types cannot.
 */

/** Rank of each folder of `lib/`. An import inside `lib/` stays in its folder or goes to a lower rank. */
export const LIB_RANKS: ReadonlyMap<string, number> = new Map([
  ["base", 0],
  ["wire", 1],
  ["host", 1],
  ["wireguard", 2],
  ["ice", 2],
  ["turn", 2],
  ["channel", 2],
  ["dns", 2],
  ["resource", 2],
  ["nat", 2],
  ["control", 2],
  ["node", 3],
  ["client", 4],
  ["gateway", 4],
  ["relay", 4],
  ["portal", 4],
]);

const LIB_ROOT_RANK = 5;

/** What each top folder may import besides itself: whole top folders, or single folders of `lib/`. */
const TOP_FOLDERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["lib", []],
  ["ffi", ["lib/base", "lib/wire", "lib/host"]],
  ["io", ["lib", "ffi"]],
  ["cli", ["lib"]],
]);

/** Returns why the file at `importer` may not import the file at `imported`, or undefined if it may. */
export function importFault(importer: string, imported: string): string | undefined {
  const from = split(importer);
  const to = split(imported);
  if (from === undefined || to === undefined) return undefined;
  if (from.top !== to.top) {
    const allowed = TOP_FOLDERS.get(from.top)!;
    if (allowed.includes(to.top) || allowed.includes(to.folder)) return undefined;
    return `${from.top}/ may not import ${to.folder}/`;
  }
  if (from.top !== "lib" || from.folder === to.folder) return undefined;
  const fromRank = rankOf(from.folder);
  const toRank = rankOf(to.folder);
  if (fromRank === undefined) return `${from.folder}/ has no rank: add it to tools/lint_plugin.ts`;
  if (toRank === undefined) return `${to.folder}/ has no rank: add it to tools/lint_plugin.ts`;
  return toRank < fromRank
    ? undefined
    : `${from.folder}/ may not import ${to.folder}/: imports descend in rank`;
}

/** Returns whether the file at `path` belongs to the pure core. */
export function isPure(path: string): boolean {
  return split(path)?.top === "lib";
}

interface Place {
  /** "lib", "ffi", "io" or "cli". */
  readonly top: string;
  /** "lib/wire" inside `lib/`; elsewhere the same as `top`. */
  readonly folder: string;
}

function split(path: string): Place | undefined {
  const parts = relativeToRoot(path).split("/");
  const top = parts[0]!;
  if (!TOP_FOLDERS.has(top) || parts.length < 2) return undefined;
  if (top !== "lib") return { top, folder: top };
  return { top, folder: parts.length > 2 ? `lib/${parts[1]}` : "lib" };
}

function rankOf(folder: string): number | undefined {
  return folder === "lib" ? LIB_ROOT_RANK : LIB_RANKS.get(folder.slice("lib/".length));
}

const ROOT = new URL("..", import.meta.url).pathname;

function relativeToRoot(path: string): string {
  return path.startsWith(ROOT) ? path.slice(ROOT.length) : path;
}

type SourceNode = { readonly source: { readonly value: unknown } | null };

const importRanks: Deno.lint.Rule = {
  create(context) {
    const check = (node: Deno.lint.Node, specifier: unknown) => {
      if (typeof specifier !== "string" || !/^\.{0,2}\//.test(specifier)) return;
      const imported = new URL(specifier, `file://${context.filename}`).pathname;
      const message = importFault(context.filename, imported);
      if (message !== undefined) context.report({ node, message });
    };
    const visit = (node: Deno.lint.Node & SourceNode) => check(node, node.source?.value);
    return {
      ImportDeclaration: visit,
      ExportAllDeclaration: visit,
      ExportNamedDeclaration: visit,
      ImportExpression(node) {
        if (node.source.type === "Literal") check(node, node.source.value);
        else if (isPure(context.filename)) {
          context.report({ node, message: "lib/ may only import what can be read from the text" });
        }
      },
      TSImportType(node) {
        // Depending on the parser's version the argument is the literal itself or a type that wraps it.
        const argument = node.argument as unknown as { value?: unknown; literal?: { value?: unknown } };
        check(node, argument.literal?.value ?? argument.value);
      },
    };
  },
};

const purity: Deno.lint.Rule = {
  create(context) {
    if (!isPure(context.filename)) return {};
    return {
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return;
        const name = `${node.object.name}.${node.property.name}`;
        if (name === "Date.now" || name === "Math.random") {
          context.report({ node, message: `lib/ is pure: ${name} comes in as an argument` });
        }
      },
      NewExpression(node) {
        if (node.callee.type !== "Identifier" || node.callee.name !== "Date") return;
        if (node.arguments.length > 0) return;
        context.report({ node, message: "lib/ is pure: the time comes in as an argument" });
      },
      Identifier(node) {
        if (node.name !== "performance" || isPropertyName(node)) return;
        context.report({ node, message: "lib/ is pure: the time comes in as an argument" });
      },
    };
  },
};

function isPropertyName(node: Deno.lint.Identifier): boolean {
  const parent = node.parent;
  if (parent.type === "MemberExpression") return parent.property === node && !parent.computed;
  return parent.type === "Property" && parent.key === node && !parent.computed;
}

const plugin: Deno.lint.Plugin = {
  name: "fz",
  rules: { "import-ranks": importRanks, purity },
};

export default plugin;
