/** Tables for people: columns aligned, cut to the terminal's width, or one block a row where it is too narrow. */

import { printable } from "../lib/base/text.ts";

/** A column of a table. */
export interface Column {
  /** Heading, in capitals by custom. */
  readonly title: string;
  readonly align?: "left" | "right";
  /** May be cut where lines get too long. */
  readonly isFlexible?: boolean;
  /** Colours the cell of a row; gets the text with its padding. */
  readonly paint?: (text: string, row: number) => string;
}

/** How a table is set. */
export interface TableOptions {
  /** Columns of the terminal; undefined if there is none: nothing is cut then. */
  readonly width?: number | undefined;
  /** Put before every line. */
  readonly indent?: string;
  /** Leave the headings out. */
  readonly isBare?: boolean;
}

const GAP = "  ";
/** A flexible column is not cut below this. */
const LEAST_WIDTH = 10;

/** Returns the lines of a table. Cells may come from elsewhere: what is no mark on the screen is replaced. */
export function renderTable(
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
  { width, indent = "", isBare = false }: TableOptions = {},
): string[] {
  const rows = cells.map((row) => columns.map((_, index) => printable(row[index] ?? "")));
  const widths = columns.map(({ title }, index) =>
    Math.max(isBare ? 0 : textWidth(title), ...rows.map((row) => textWidth(row[index]!)))
  );
  const room = width === undefined ? Infinity : width - indent.length - GAP.length * (columns.length - 1);
  if (!shrink(widths, columns, room)) return blocks(columns, rows, indent, width);
  const line = (row: readonly string[], index: number | undefined) => {
    const padded = columns.map(({ align, paint }, column) => {
      const isLast = column === columns.length - 1;
      const text = pad(
        cut(row[column]!, widths[column]!),
        isLast && align !== "right" ? 0 : widths[column]!,
        align,
      );
      return paint === undefined || index === undefined ? text : paint(text, index);
    });
    return `${indent}${padded.join(GAP)}`.trimEnd();
  };
  const body = rows.map((row, index) => line(row, index));
  return isBare ? body : [line(columns.map(({ title }) => title), undefined), ...body];
}

/** Returns how many columns of a terminal `text` takes. */
export function textWidth(text: string): number {
  // The common case, and the fast one.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += WIDE.test(character) ? 2 : /\p{M}/u.test(character) ? 0 : 1;
  return width;
}

/** Returns `text` in at most `width` columns; where it was longer, it ends in "…". */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = "";
  let used = 1;
  for (const character of text) {
    used += textWidth(character);
    if (used > width) break;
    kept += character;
  }
  return width < 1 ? "" : `${kept}…`;
}

/** Returns `text` filled up to `width` columns. */
export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(width - textWidth(text), 0));
  return align === "left" ? text + space : space + text;
}

/** Returns `text` broken at spaces into lines of at most `width` columns. What stands between backticks stays whole. */
export function wrap(text: string, width: number | undefined, indent = ""): string[] {
  if (width === undefined) return [text];
  const start = text.length - text.trimStart().length;
  const [head = "", ...words] = text.slice(start).split(OUTER_SPACE);
  const lines = [" ".repeat(start) + head];
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`;
    if (textWidth(longer) > width) lines.push(indent + word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

/** Returns lines of "label  value"; a value too long for its line goes on below itself, or below its label. */
export function factLines(
  facts: readonly (readonly [label: string, value: string])[],
  width: number | undefined,
  paint: (style: "dim", text: string) => string = (_style, text) => text,
): string[] {
  const column = Math.max(0, ...facts.map(([label]) => textWidth(label))) + GAP.length;
  return facts.flatMap(([label, value]) => {
    const text = printable(value);
    const room = width === undefined ? undefined : width - column;
    const lines = wrap(text, room);
    if (width !== undefined && lines.some((line) => textWidth(line) > room!)) {
      return [paint("dim", label), ...wrap(text, width - GAP.length).map((line) => GAP + line)];
    }
    return lines.map((line, index) =>
      index === 0 ? `${paint("dim", pad(label, column))}${line}` : `${" ".repeat(column)}${line}`
    );
  });
}

/** A space that is not between backticks. */
const OUTER_SPACE = / (?=(?:[^`]*`[^`]*`)*[^`]*$)/;
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\uff01-\uff60]/u;

/** Cuts flexible columns, the widest first, until all fit; returns whether they do. */
function shrink(widths: number[], columns: readonly Column[], room: number): boolean {
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  while (excess > 0) {
    let widest = -1;
    for (const [index, { isFlexible }] of columns.entries()) {
      if (isFlexible && widths[index]! > LEAST_WIDTH && widths[index]! > (widths[widest] ?? 0)) {
        widest = index;
      }
    }
    if (widest < 0) return false;
    widths[widest]!--;
    excess--;
  }
  return true;
}

function blocks(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  indent: string,
  width: number | undefined,
): string[] {
  const [, ...others] = columns;
  return rows.flatMap((row, index) => {
    const paint = columns[0]?.paint ?? ((text: string) => text);
    const room = (width ?? Infinity) - indent.length;
    const details = others.flatMap(({ title }, column) => {
      const value = row[column + 1]!;
      const label = title.toLowerCase();
      return value === "" ? [] : [`${indent}  ${cut(`${label} ${value}`, room - 2)}`];
    });
    return [indent + paint(cut(row[0] ?? "", room), index), ...details];
  });
}
