/** Seed files: what a portal should contain, declared as JSON with comments. docs/portal-seed.md describes the fields. */

import * as v from "valibot";
import { err, ok, type Result } from "../base/result.ts";
import type { Rng } from "../base/rng.ts";
import type { Directory } from "./directory.ts";
import {
  AccountInput,
  ActorInput,
  type Complaint,
  GroupInput,
  PolicyInput,
  readInput,
  ResourceInput,
  SiteInput,
  TokenInput,
} from "./inputs.ts";
import { lineAt, linesOf } from "./json_lines.ts";
import type { Account, Token } from "./model.ts";
import { putAccount, putActor, putGroup, putPolicy, putResource, putSite, putToken } from "./upsert.ts";

/** A seed file. */
export const Seed = v.strictObject({
  account: AccountInput,
  sites: v.optional(v.array(SiteInput), []),
  actors: v.optional(v.array(ActorInput), []),
  groups: v.optional(v.array(GroupInput), []),
  resources: v.optional(v.array(ResourceInput), []),
  policies: v.optional(v.array(PolicyInput), []),
  tokens: v.optional(v.array(TokenInput), []),
});

export type Seed = v.InferOutput<typeof Seed>;
/** A seed as callers may write it: lists can be left out. */
export type SeedInput = v.InferInput<typeof Seed>;

/** A token that was made while seeding; its text is told this once. */
export interface IssuedToken {
  readonly token: Token;
  readonly secret: string;
  readonly writeTo: string | undefined;
}

/** Longest text of a seed, in characters. */
export const MAX_SEED_LENGTH = 2 ** 21;

/** Returns the seed in `text`. */
export function parseSeed(text: string): Result<Seed, Complaint> {
  if (text.length > MAX_SEED_LENGTH) return err(`it is longer than ${MAX_SEED_LENGTH} characters`);
  const json = withoutComments(text);
  const lines = linesOf(json);
  if (!lines.ok) {
    const { line, column, message } = lines.reason;
    return err(`cannot read the seed as JSON: line ${line}, column ${column}: ${message}`);
  }
  return readInput(Seed, JSON.parse(json));
}

/** Returns `complaint` about the seed in `text` with the line of the field that it begins with. */
export function withLine(text: string, complaint: Complaint): Complaint {
  const path = /^[\w.]+(?=: )/.exec(complaint)?.[0];
  const lines = linesOf(withoutComments(text));
  const line = path !== undefined && lines.ok ? lineAt(lines.value, path) : undefined;
  return line === undefined ? complaint : `line ${line}: ${complaint}`;
}

/**
 * Makes the directory contain what `seed` declares. What is there already is updated; what the seed does not mention
 * stays. `mustRotate` says of a token whose text was once written to a file whether it has to be made anew.
 */
export function applySeed(
  directory: Directory,
  seed: Seed,
  rng: Rng,
  unixSeconds: number,
  mustRotate: (writeTo: string) => boolean = () => false,
): Result<{ readonly account: Account; readonly issued: readonly IssuedToken[] }, Complaint> {
  const account = putAccount(directory, seed.account, rng);
  if (!account.ok) return err(`account.${account.reason}`);
  const steps: [string, readonly unknown[], (input: never) => Result<unknown, Complaint>][] = [
    ["sites", seed.sites, (input) => putSite(directory, account.value, input)],
    ["actors", seed.actors, (input) => putActor(directory, account.value, input, rng)],
    ["groups", seed.groups, (input) => putGroup(directory, account.value, input)],
    ["resources", seed.resources, (input) => putResource(directory, account.value, input)],
    ["policies", seed.policies, (input) => putPolicy(directory, account.value, input)],
  ];
  for (const [name, inputs, put] of steps) {
    for (const [index, input] of inputs.entries()) {
      const outcome = put(input as never);
      if (!outcome.ok) return err(`${name}.${index}.${outcome.reason}`);
    }
  }
  const issued: IssuedToken[] = [];
  for (const [index, input] of seed.tokens.entries()) {
    const rotate = input.write_to !== undefined && mustRotate(input.write_to);
    const outcome = putToken(directory, account.value, input, rng, unixSeconds, rotate);
    if (!outcome.ok) return err(`tokens.${index}.${outcome.reason}`);
    const secret = outcome.value.secret ?? (rotate ? input.token : undefined);
    if (secret !== undefined) issued.push({ token: outcome.value.token, secret, writeTo: input.write_to });
  }
  return ok({ account: account.value, issued });
}

/** Returns `text` with comments (of one line and of several) and trailing commas blanked out; strings are left alone. */
export function withoutComments(text: string): string {
  // What is not closed goes to the end: without that, each of many openings would be searched to the end in vain.
  const blank = (match: string) => match.replace(/[^\n]/g, " ");
  return text
    .replace(
      /"(?:\\.|[^"\\])*"?|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/g,
      (match) => match.startsWith('"') ? match : blank(match),
    )
    .replace(/"(?:\\.|[^"\\])*"?|,(?=\s*[}\]])/g, (match) => match === "," ? " " : match);
}
