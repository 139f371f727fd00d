import assert from "node:assert/strict";
import fc from "fast-check";
import { compareSpecificity, Pattern } from "../../../lib/dns/pattern.ts";
import { PatternMap } from "../../../lib/dns/pattern_map.ts";

const MATCHES: readonly (readonly [pattern: string, name: string, matches: boolean])[] = [
  ["gitlab.example.com", "gitlab.example.com", true],
  ["gitlab.example.com", "GitLab.Example.COM", true],
  ["gitlab.example.com", "x.gitlab.example.com", false],
  ["*.example.com", "example.com", true],
  ["*.example.com", "a.example.com", true],
  ["*.example.com", "a.b.example.com", false],
  ["**.example.com", "example.com", true],
  ["**.example.com", "a.example.com", true],
  ["**.example.com", "a.b.example.com", true],
  ["**.example.com", "aexample.com", false],
  ["app.**.web.**.example.com", "app.web.example.com", true],
  ["app.**.web.**.example.com", "app.a.b.web.c.example.com", true],
  ["app.**.web.**.example.com", "app.example.com", false],
  ["*?*.example.com", "app.example.com", true],
  ["*?*.example.com", "example.com", false],
  ["app?com", "app.com", false],
  ["app?.example.com", "app1.example.com", true],
  ["app?.example.com", "app.example.com", false],
  ["app?.example.com", "app12.example.com", false],
  ["app*.example.com", "app.example.com", true],
  ["app.*.example.com", "app.foo.example.com", true],
  ["app.*.example.com", "app.foo.bar.example.com", false],
  ["app.*.example.com", "app.example.com", false],
  ["app.**.example.com", "app.example.com", true],
  ["*ample.com", "example.com", true],
  ["*ample.com", "x.example.com", false],
  ["**", "anything.at.all", true],
  ["*.*.example.com", "example.com", false],
  ["*.example.com", "a\\046b.example.com", false],
];

for (const [pattern, name, matches] of MATCHES) {
  Deno.test(`Pattern "${pattern}" ${matches ? "matches" : "does not match"} "${name}"`, () => {
    assert.equal(Pattern.from(pattern).matches(name), matches);
  });
}

Deno.test("Pattern.parse refuses what is no pattern", () => {
  for (
    const text of [
      "",
      ".",
      "a..b",
      "a**b.com",
      "***.com",
      "a.**b",
      "[ab].com",
      "a b.com",
      "ä.com",
      "x".repeat(254),
    ]
  ) {
    assert.equal(Pattern.parse(text), undefined, text);
  }
  assert.equal(Pattern.parse("Example.COM.")?.text, "example.com");
});

const BY_SPECIFICITY = [
  "example.com",
  "bar.example.com",
  "*.bar.example.com",
  "foo.example.com",
  "?.example.com",
  "*.example.com",
  "**.example.com",
  "*ample.com",
  "*.com",
];

Deno.test("compareSpecificity sorts from the most specific pattern to the least", () => {
  const shuffled = BY_SPECIFICITY.toReversed().map((text) => Pattern.from(text));
  assert.deepEqual(shuffled.sort(compareSpecificity).map((pattern) => pattern.text), BY_SPECIFICITY);
});

const patternText = fc.array(fc.constantFrom("a", "b", "*", "?", "**", "a*", "*a", "a?b", "ab"), {
  minLength: 1,
  maxLength: 6,
}).map((labels) => labels.join("."));
const nameText = fc.array(fc.stringMatching(/^[ab]{1,4}$/), { minLength: 1, maxLength: 8 }).map((labels) =>
  labels.join(".")
);

Deno.test("Pattern matches what an equivalent regular expression matches", () => {
  fc.assert(
    fc.property(patternText, nameText, (text, name) => {
      assert.equal(Pattern.from(text).matches(name), toRegExp(text).test(name), `${text} ${name}`);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("compareSpecificity is a total order", () => {
  fc.assert(fc.property(patternText, patternText, patternText, (a, b, c) => {
    const [x, y, z] = [a, b, c].map((text) => Pattern.from(text)) as [Pattern, Pattern, Pattern];
    assert.equal(Math.sign(compareSpecificity(x, y)), -Math.sign(compareSpecificity(y, x)) + 0);
    assert.equal(compareSpecificity(x, y) === 0, x.text === y.text);
    if (compareSpecificity(x, y) < 0 && compareSpecificity(y, z) < 0) assert.ok(compareSpecificity(x, z) < 0);
  }));
});

Deno.test("Pattern matching comes to an end for patterns that make backtracking explode", () => {
  const pattern = Pattern.from(`${"*a".repeat(30)}.${"**.a.".repeat(20)}com`);
  const name = `${"a".repeat(60)}.${"a.".repeat(90)}b`;
  // Backtracking would not come to an end.
  assert.equal(pattern.matches(name), false);
});

Deno.test("PatternMap finds all matching values, the most specific first, then the greater id", () => {
  const map = new PatternMap<string>();
  for (const [index, text] of BY_SPECIFICITY.entries()) map.set(`id${index}`, Pattern.from(text), text);
  map.set("id9", Pattern.from("foo.example.com"), "second foo");
  assert.deepEqual(map.match("FOO.example.com").map(({ value }) => value), [
    "second foo",
    "foo.example.com",
    "*.example.com",
    "**.example.com",
  ]);
  map.delete("id9");
  map.set("id3", Pattern.from("*.example.org"), "moved");
  assert.deepEqual(map.match("foo.example.com").map(({ value }) => value), [
    "*.example.com",
    "**.example.com",
  ]);
  assert.deepEqual(map.match("com").map(({ value }) => value), ["*.com"]);
  assert.deepEqual(map.match(""), []);
  assert.equal(map.size, 9);
});

Deno.test("PatternMap agrees with asking every pattern", () => {
  fc.assert(fc.property(fc.array(patternText, { maxLength: 12 }), nameText, (texts, name) => {
    const map = new PatternMap<string>();
    texts.forEach((text, index) => map.set(String(index), Pattern.from(text), text));
    const expected = texts.map((text) => Pattern.from(text)).filter((pattern) => pattern.matches(name));
    assert.deepEqual(
      map.match(name).map(({ value }) => value).sort(),
      expected.map(({ text }) => text).sort(),
    );
  }));
});

function toRegExp(text: string): RegExp {
  const parent = /^\*{1,2}\.(.+)$/.exec(text)?.[1];
  const labels = text.split(".");
  let source = "";
  labels.forEach((label, index) => {
    const last = index === labels.length - 1;
    if (label === "**") source += last ? "[^.]+(?:\\.[^.]+)*" : "(?:[^.]+\\.)*";
    else source += label.replaceAll("*", "[^.]*").replaceAll("?", "[^.]") + (last ? "" : "\\.");
  });
  const bare = parent === undefined || /[*?]/.test(parent) ? "" : `|${parent.replaceAll(".", "\\.")}`;
  return new RegExp(`^(?:${source}${bare})$`);
}
