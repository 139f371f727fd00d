/** What stands before every answer of the control API. */

import { VERSION } from "../../lib/control/version.ts";
import { encodeHead } from "../../lib/wire/http.ts";

/** Returns the head of an answer. */
export function answerHead(status: number, headers: Readonly<Record<string, string | number>>): Uint8Array {
  return encodeHead(`HTTP/1.1 ${status} ${REASONS[status] ?? ""}`.trimEnd(), {
    "server": `fz/${VERSION}`,
    "date": new Date().toUTCString(),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
  });
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};
