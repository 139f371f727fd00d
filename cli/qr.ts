/** QR codes for terminals: two rows of squares in a line of text. */

import { encode } from "uqr";

/** White squares around the code, without which cameras do not find it. */
const BORDER = 2;

/** Returns the lines of a code for `text`; undefined if it is wider than `columns`. Dark squares are gaps. */
export function qrLines(text: string, columns: number): readonly string[] | undefined {
  const { data } = encode(text, { ecc: "L", border: BORDER });
  if (data.length > columns) return undefined;
  const lines: string[] = [];
  for (let row = 0; row < data.length; row += 2) {
    const upper = data[row]!;
    const lower = data[row + 1];
    lines.push(upper.map((isDark, column) => square(isDark, lower?.[column] ?? true)).join(""));
  }
  return lines;
}

function square(isUpperDark: boolean, isLowerDark: boolean): string {
  if (isUpperDark) return isLowerDark ? " " : "▄";
  return isLowerDark ? "▀" : "█";
}
