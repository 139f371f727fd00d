/** HTML as a value: what is put into a template is escaped, unless it is HTML already. */

import { printable } from "../base/text.ts";

/** A piece of HTML. */
export interface Html {
  readonly html: string;
}

/** Returns the piece that the template describes; texts in it are escaped. */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | Html | readonly Html[])[]
): Html {
  let text = parts[0]!;
  values.forEach((value, index) => text += textOf(value) + parts[index + 1]!);
  return { html: text };
}

/** Returns `text` as it is: only for constants of this program. */
export function trusted(text: string): Html {
  return { html: text };
}

/** Nothing. */
export const NOTHING: Html = { html: "" };

/** Returns `text` with every character that means something to HTML written as a reference, invisible ones as "?". */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function textOf(value: string | Html | readonly Html[]): string {
  if (typeof value === "string") return escapeHtml(value);
  return "html" in value ? value.html : value.map((part) => part.html).join("");
}
