/** From what a client sends to what is asked: which route, and the request in it; or why not. */

import * as v from "valibot";
import { fromUtf8 } from "../../lib/base/bytes.ts";
import { parseJson } from "../../lib/base/json.ts";
import { err, ok, type Result } from "../../lib/base/result.ts";
import { printable } from "../../lib/base/text.ts";
import { API_VERSION, type Problem, type Route, type RouteName, ROUTES } from "../../lib/control/api.ts";

/** An answer that says no. */
export interface Refusal {
  readonly status: number;
  readonly problem: Problem;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Longest path that an answer repeats. */
const MAX_SHOWN = 80;
const DOCUMENTED = "docs/control.md lists all routes.";

const BY_PATH: ReadonlyMap<string, readonly (readonly [RouteName, Route])[]> = Map.groupBy(
  Object.entries(ROUTES) as [RouteName, Route][],
  ([, { path }]) => path,
);

/** Returns the route that `method` and `target` name, if `authority` may use it. */
export function findRoute(
  method: string,
  target: string,
  authority: "read" | "change",
): Result<RouteName, Refusal> {
  const shown = JSON.stringify(printable(target, MAX_SHOWN));
  const routes = BY_PATH.get(target);
  if (routes === undefined) {
    const version = /^\/v(\d+)(?:\/|$)/.exec(target)?.[1];
    if (version !== undefined && Number(version) !== API_VERSION) {
      return refuse(404, {
        code: "usage",
        message: `Cannot answer ${shown}: version ${version.slice(0, 9)} of the API is not served`,
        next: `Versions served: ${API_VERSION}.`,
      });
    }
    return refuse(404, {
      code: "usage",
      message: `Cannot answer ${shown}: there is no such path`,
      next: target.includes("?") ? "Requests are JSON in the body; paths take no query." : DOCUMENTED,
    });
  }
  const found = routes.find(([, route]) => route.method === method);
  if (found === undefined) {
    const allow = routes.map(([, route]) => route.method).join(", ");
    return refuse(405, {
      code: "usage",
      message: `Cannot answer ${method} ${shown}: the path takes ${allow}`,
      next: DOCUMENTED,
    }, { allow });
  }
  const [name, route] = found;
  if (route.authority === "change" && authority === "read") {
    return refuse(403, {
      code: "privilege",
      message: `Cannot do ${shown}: it changes the session, and here it may only be asked`,
      next: "Run the command with sudo, or as the user who runs the session.",
    });
  }
  return ok(name);
}

/** Returns the request in `body` as the route `name` takes it. */
export function readRequest(name: RouteName, body: Uint8Array): Result<unknown, Refusal> {
  const wrong = (what: string) =>
    refuse(400, { code: "usage", message: `Cannot read the request "${name}": ${what}`, next: DOCUMENTED });
  const text = fromUtf8(body);
  if (text === undefined) return wrong("it is not UTF-8");
  // No body is a request without fields.
  const parsed = text.trim() === "" ? ok({}) : parseJson(text);
  if (!parsed.ok) return wrong(`it is not JSON at ${parsed.reason}`);
  if (typeof parsed.value !== "object" || parsed.value === null || Array.isArray(parsed.value)) {
    return wrong("it is not a JSON object");
  }
  const route: Route = ROUTES[name];
  const checked = v.safeParse(route.request, parsed.value, { abortEarly: true });
  if (checked.success) return ok(checked.output);
  const [issue] = checked.issues;
  const field = JSON.stringify(printable(v.getDotPath(issue) ?? "", MAX_SHOWN));
  // Not what was received: it may be a token.
  if (issue.received === "undefined") return wrong(`the field ${field} is missing`);
  if (issue.type === "regex") return wrong(`the field ${field} does not have the form it must have`);
  const measured = issue.type.endsWith("_length") ? `the length of ${field}` : `the field ${field}`;
  return wrong(`${measured} is not ${issue.expected}`);
}

function refuse(
  status: number,
  problem: Problem,
  headers?: Readonly<Record<string, string>>,
): Result<never, Refusal> {
  return err({ status, problem, ...(headers === undefined ? {} : { headers }) });
}
