/** The command tree as one value: help, manual, completions and parsing come from it. A new command is one line here. */

import type { Node } from "./command.ts";

/** A heading of the list of commands. */
export type Section = "Daily use" | "See and steer" | "Access" | "Set up" | "Embedded network" | "Help";

/** A command or group of the first level; its file is loaded when it is asked for. */
export interface Entry {
  readonly section: Section;
  readonly name: string;
  load(): Promise<Node>;
}

/** All commands of the first level, in the order of help. */
export const COMMANDS: readonly Entry[] = [
  at("Daily use", "sign-in", async () => (await import("./commands/sign_in.ts")).signInCommand),
  at("Daily use", "sign-out", async () => (await import("./commands/sign_out.ts")).signOutCommand),
  at("Daily use", "whoami", async () => (await import("./commands/whoami.ts")).whoamiCommand),
  at("Daily use", "up", async () => (await import("./commands/up.ts")).upCommand),
  at("Daily use", "down", async () => (await import("./commands/down.ts")).downCommand),
  at("Daily use", "run", async () => (await import("./commands/run.ts")).runCommand),

  at("See and steer", "status", async () => (await import("./commands/status.ts")).statusCommand),
  at("See and steer", "watch", async () => (await import("./commands/watch.ts")).watchCommand),
  at("See and steer", "wait", async () => (await import("./commands/wait.ts")).waitCommand),
  at("See and steer", "ping", async () => (await import("./commands/ping.ts")).pingCommand),
  at("See and steer", "explain", async () => (await import("./commands/explain.ts")).explainCommand),
  at("See and steer", "dns", async () => (await import("./commands/dns/dns.ts")).dnsCommand),
  at("See and steer", "metrics", async () => (await import("./commands/metrics.ts")).metricsCommand),
  at("See and steer", "netcheck", async () => (await import("./commands/netcheck.ts")).netcheckCommand),
  at("See and steer", "log", async () => (await import("./commands/log/log.ts")).logCommand),
  at("See and steer", "capture", async () => (await import("./commands/capture.ts")).captureCommand),
  at("See and steer", "bundle", async () => (await import("./commands/bundle.ts")).bundleCommand),

  at("Access", "resource", async () => (await import("./commands/resource/resource.ts")).resourceCommand),
  at("Access", "internet", async () => (await import("./commands/internet.ts")).internetCommand),

  at("Set up", "cleanup", async () => (await import("./commands/cleanup.ts")).cleanupCommand),
  at("See and steer", "doctor", async () => (await import("./commands/doctor.ts")).doctorCommand),

  at("Set up", "service", async () => (await import("./commands/service.ts")).serviceCommand),
  at("Set up", "profile", async () => (await import("./commands/profile.ts")).profileCommand),
  at("Set up", "config", async () => (await import("./commands/config.ts")).configCommand),

  at("Embedded network", "demo", async () => (await import("./commands/demo.ts")).demoCommand),
  at("Embedded network", "dev", async () => (await import("./commands/dev.ts")).devCommand),
  at("Embedded network", "portal", async () => (await import("./commands/portal.ts")).portalCommand),
  at("Embedded network", "relay", async () => (await import("./commands/relay.ts")).relayCommand),
  at("Embedded network", "gateway", async () => (await import("./commands/gateway.ts")).gatewayCommand),

  at("Help", "help", async () => (await import("./commands/help.ts")).helpCommand),
  at("Help", "completions", async () => (await import("./commands/completions.ts")).completionsCommand),
  at("Help", "version", async () => (await import("./commands/version.ts")).versionCommand),
];

/** Where a command line leads: the nodes that its first words name, and the names to choose from where it stops. */
export interface Route {
  /** From the first level down; empty if the first word is no command. */
  readonly nodes: readonly Node[];
  /** Nodes of the first level that are loaded: all, unless the first word names one. */
  readonly roots: readonly { readonly section: Section; readonly node: Node }[];
}

/** Returns where `words` lead, and loads what is on the way and nothing else. */
export async function findRoute(words: readonly string[]): Promise<Route> {
  const [first = "", ...rest] = words;
  const named = COMMANDS.filter(({ name }) => name === first);
  const roots = await Promise.all(
    (named.length === 0 ? COMMANDS : named).map(async ({ section, load }) => ({
      section,
      node: await load(),
    })),
  );
  const root = child(roots.map(({ node }) => node), first);
  return { roots, nodes: root === undefined ? [] : [root, ...below(root, rest)] };
}

/** Returns the names of the route as they are typed: "resource list". */
export function pathOf(route: Route): string {
  return route.nodes.map(({ name }) => name).join(" ");
}

/** Calls `visit` for every command and group, parents first. */
export async function walkTree(visit: (path: readonly string[], node: Node) => void): Promise<void> {
  const walk = (path: readonly string[], node: Node) => {
    visit([...path, node.name], node);
    if (node.type === "group") { for (const inner of node.commands) walk([...path, node.name], inner); }
  };
  for (const { node } of (await findRoute([])).roots) walk([], node);
}

function below(node: Node, words: readonly string[]): Node[] {
  const [first, ...rest] = words;
  const inner = node.type === "group" && first !== undefined ? child(node.commands, first) : undefined;
  return inner === undefined ? [] : [inner, ...below(inner, rest)];
}

function child<T extends Node>(nodes: readonly T[], word: string): T | undefined {
  return nodes.find(({ name, aliases }) => name === word || aliases?.includes(word));
}

function at(section: Section, name: string, load: () => Promise<Node>): Entry {
  return { section, name, load };
}
