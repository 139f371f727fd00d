import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import {
  changeProfile,
  decodeProfile,
  MAX_PROFILE_BYTES,
  readProfile,
} from "../../../lib/control/profile_text.ts";
import type { PlainValue } from "../../../lib/control/setting_value.ts";
import { SETTING_NAMES, type SettingName, SETTINGS } from "../../../lib/control/settings.ts";
import { statementsOf } from "../../../lib/control/toml_layout.ts";

const FULL = `# The office.
api-url = "wss://portal.test/" # ours
"name" = 'box [1] # not a comment'

  max-partition-time = "1h 30m"
disabled-resources = [
  "a]", # first
  'b"',
]
internet = true
log-filter = """info"""
`;

Deno.test("readProfile: reads values and their lines", () => {
  const read = readProfile(FULL);
  assert.ok(read.ok);
  assert.deepEqual({ ...read.value.values }, {
    apiUrl: "wss://portal.test/",
    name: "box [1] # not a comment",
    maxPartitionTime: 5_400_000,
    disabledResources: ["a]", 'b"'],
    internetResource: true,
    logFilter: "info",
  });
  assert.deepEqual({ ...read.value.lines }, {
    apiUrl: 2,
    name: 3,
    maxPartitionTime: 5,
    disabledResources: 6,
    internetResource: 10,
    logFilter: 11,
  });
});

Deno.test("readProfile: names line and column of what is wrong", () => {
  const table: [text: string, line: number, column: number, reason: RegExp][] = [
    ['api-ulr = "wss://x/"', 1, 1, /unknown setting "api-ulr". Did you mean "api-url"\?/],
    ["\n\n  inc-buf = 1", 3, 3, /"inc-buf": 1 is neither true nor false/],
    ['name = "x"\nlisten = "8080"', 2, 1, /"listen": "8080" is not an address with a port/],
    ['name = "x"\nname = "y"', 2, 1, /redefine/],
    ['name = "x', 1, 8, /string/],
    ["flow-logs = t", 1, 13, /invalid value/],
    ["[section]\nname = 'x'", 1, 1, /unknown setting "section"/],
    ["# c\n[[name]]\nx = 1", 2, 1, /"name": a list is not text/],
    ["a.b = 1", 1, 1, /unknown setting "a"/],
    ["__proto__ = 1", 1, 1, /unknown setting "__proto__"/],
    ["max-partition-time = 30", 1, 1, /30 is not a duration/],
    ["max-partition-time = 1979-05-27", 1, 1, /a date is not a duration/],
    ["name = { first = 'x' }", 1, 1, /a table is not text/],
    ['tun-name = "a/b"', 1, 1, /device's name/],
    ['log-dir = "logs"', 1, 1, /not an absolute path/],
    ["\x00", 1, 1, /./],
    ["=", 1, 1, /./],
    ["name", 1, 1, /./],
    ["[".repeat(60_000), 1, 3, /./],
    ["name = " + "[".repeat(60_000), 1, 1008, /nested/],
  ];
  for (const [text, line, column, reason] of table) {
    const read = readProfile(text);
    assert.ok(!read.ok, text.slice(0, 40));
    assert.deepEqual([read.reason.line, read.reason.column], [line, column], text.slice(0, 40));
    assert.match(read.reason.reason, reason);
    assert.ok(!read.reason.reason.includes("\n"));
  }
});

Deno.test("readProfile: is at ease with nothing, comments, CRLF and a byte order mark", () => {
  for (const text of ["", "\n", "# x", "\ufeff", "\ufeff# x\r\n", "\r\n\r\n"]) {
    const read = readProfile(text);
    assert.ok(read.ok, JSON.stringify(text));
    assert.deepEqual({ ...read.value.values }, {});
  }
  const windows = readProfile('\ufeff# x\r\nname = "box"\r\ninternet = true\r\n');
  assert.ok(windows.ok);
  assert.deepEqual({ ...windows.value.lines }, { name: 2, internetResource: 3 });
});

Deno.test("readProfile: a file torn at any byte is a clean part of it or a problem with its place", () => {
  const bytes = new TextEncoder().encode(FULL.replace("office", "Büro 🏢"));
  for (let length = 0; length <= bytes.length; length++) {
    const text = decodeProfile(bytes.subarray(0, length));
    const read = text.ok ? readProfile(text.value) : text;
    if (!read.ok) checkPlace(read.reason, length);
  }
});

Deno.test("decodeProfile, readProfile: nothing in a file makes them throw", () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.string({ unit: "binary", maxLength: 300 }).map((text) => new TextEncoder().encode(text)),
    fc.array(
      fc.constantFrom(
        '"',
        "'",
        '"""',
        "'''",
        "[",
        "]",
        "{",
        "}",
        "#",
        "\n",
        "\r",
        "=",
        "\\",
        "a",
        ".",
        "1",
        ",",
        "\ufeff",
      ),
      { maxLength: 60 },
    ).map((parts) => new TextEncoder().encode(parts.join(""))),
  );
  fc.assert(
    fc.property(hostile, (bytes) => {
      const text = decodeProfile(bytes);
      statementsOf(new TextDecoder().decode(bytes));
      const read = text.ok ? readProfile(text.value) : text;
      if (!read.ok) checkPlace(read.reason, bytes.length);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeProfile: turns down what is too long, and names the first byte that is no text", () => {
  const long = decodeProfile(new Uint8Array(10 << 20));
  assert.ok(!long.ok && /larger than 64 KiB/.test(long.reason.reason));
  assert.ok(decodeProfile(new Uint8Array(MAX_PROFILE_BYTES).fill(0x20)).ok);
  const binary = decodeProfile(new Uint8Array([0x23, 0x0a, 0x61, 0x62, 0xff, 0x0a]));
  assert.deepEqual(binary, {
    ok: false,
    reason: { line: 2, column: 3, reason: "the file is not text in UTF-8" },
  });
});

Deno.test("changeProfile: changes one value and leaves everything else as it is", () => {
  assert.equal(changeProfile(FULL, "apiUrl", "ws://b/"), FULL.replace("wss://portal.test/", "ws://b/"));
  assert.equal(changeProfile(FULL, "name", "x"), FULL.replace("'box [1] # not a comment'", '"x"'));
  assert.equal(
    changeProfile(FULL, "disabledResources", ["c"]),
    FULL.replace(/\[\n.*\n.*\n\]/, '["c"]'),
  );
  assert.equal(
    changeProfile(FULL, "disabledResources", undefined),
    FULL.replace(/disabled[^\]]*\]", [^\]]*\]\n/, ""),
  );
  assert.equal(changeProfile(FULL, "flowLogs", true), `${FULL}flow-logs = true\n`);
  assert.equal(changeProfile(FULL, "flowLogs", undefined), FULL);
  assert.equal(changeProfile('\ufeffname = "a"\r\n', "id", "b"), '\ufeffname = "a"\r\nid = "b"\r\n');
  assert.equal(changeProfile("# no line break", "id", "b"), '# no line break\nid = "b"\n');
  assert.equal(changeProfile("", "id", "b"), 'id = "b"\n');
});

/** Text of a profile as people may write it: any of the settings, in any order, in any form. */
const profiles = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom(...SETTING_NAMES),
    before: fc.constantFrom("", "  ", "# a comment\n", "\n", '# "quoted = 1\n'),
    spaces: fc.constantFrom("", " ", "\t"),
    after: fc.constantFrom("", " # why", " #", '  # "', " # ]"),
    isQuoted: fc.boolean(),
  }),
  { selector: ({ name }) => name },
).chain((rows) =>
  fc.tuple(...rows.map(({ name }) => plainValues(name))).map((values) =>
    rows.map(({ name, before, spaces, after, isQuoted }, index) => {
      const { key } = SETTINGS[name];
      return `${before}${isQuoted ? `"${key}"` : key}${spaces}=${spaces}${literal(values[index]!)}${after}\n`;
    }).join("")
  )
);

Deno.test("changeProfile: what was set is read again, and comments and other settings stay", () => {
  const change = fc.constantFrom(...SETTING_NAMES).chain((name) =>
    fc.record({ name: fc.constant(name), value: fc.option(plainValues(name), { nil: undefined }) })
  );
  fc.assert(
    fc.property(profiles, change, fc.constantFrom("\n", "\r\n"), (lines, { name, value }, newline) => {
      const text = lines.replaceAll("\n", newline);
      const changed = changeProfile(text, name, value);
      const { key } = SETTINGS[name];
      const expected = { ...parse(text), [key]: value };
      if (value === undefined) delete expected[key];
      assert.deepEqual({ ...parse(changed) }, expected);
      assert.ok(readProfile(changed).ok);
      const others = (content: string) =>
        content.split(newline).filter((line) => line !== "" && !isAbout(line, key));
      assert.deepEqual(others(changed), others(text));
    }),
    { numRuns: 500 },
  );
});

function isAbout(line: string, key: string): boolean {
  return new RegExp(`^\\s*"?${key}"?\\s*=`).test(line);
}

function plainValues(name: SettingName): fc.Arbitrary<PlainValue> {
  const { kind } = SETTINGS[name];
  const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((text) =>
    !/\p{Cc}/u.test(text)
  );
  switch (kind.type) {
    case "switch":
      return fc.boolean();
    case "number":
      return fc.integer({ min: 600, max: 1200 });
    case "list":
      if (name === "excluded") {
        return fc.array(fc.nat({ max: 255 }).map((byte) => `10.${byte}.0.0/16`), { maxLength: 4 });
      }
      return fc.array(words, { maxLength: 4 });
    case "duration":
      return fc.nat({ max: 10_000 }).map((count) => `${count}s`);
    case "choice":
      return fc.constantFrom(...kind.choices!);
    case "url":
      return fc.webUrl({ validSchemes: ["https"], withQueryParameters: true });
    case "address":
      return fc.nat({ max: 65_535 }).map((port) => `127.0.0.1:${port}`);
    case "path":
      return words.map((text) => `/${text}`);
    case "text":
      if (name === "tunName" || name === "accountSlug") return fc.stringMatching(/^[a-z]{1,15}$/);
      if (name === "logFilter") return fc.stringMatching(/^([a-z]{1,9}=)?(debug|off)$/);
      return words;
  }
}

/** Any of the forms that TOML has for `value`. */
function literal(value: PlainValue): string {
  if (typeof value === "object") return `[ ${value.map((entry) => JSON.stringify(entry)).join(" ,")} ]`;
  if (typeof value === "boolean" || typeof value === "number") return String(value);
  return value.includes("'") ? JSON.stringify(value) : `'${value}'`;
}

function checkPlace(
  { line, column, reason }: { line: number; column: number; reason: string },
  length: number,
): void {
  assert.ok(line >= 1 && line <= length + 1, `line ${line}`);
  assert.ok(column >= 1 && column <= length + 2, `column ${column}`);
  assert.ok(reason.length > 0 && reason.length < 300 && !reason.includes("\n"), reason);
}
