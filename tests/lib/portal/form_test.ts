import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_FORM_LENGTH, readCookie, readForm, readPath, writeForm } from "../../../lib/portal/form.ts";
import { html, trusted } from "../../../lib/portal/html.ts";

Deno.test("readForm: reads what browsers write, and of a repeated field the first", () => {
  const fields = readForm("email=ada%40corp.example&password=a+b%2Bc%C3%A9&email=eve%40x&empty=&flag");
  assert.deepEqual([...fields], [
    ["email", "ada@corp.example"],
    ["password", "a b+cé"],
    ["empty", ""],
    ["flag", ""],
  ]);
});

Deno.test("readForm: reads what writeForm wrote", () => {
  const texts = fc.dictionary(
    fc.string({ minLength: 1, maxLength: 10, unit: "grapheme" }),
    fc.string({ minLength: 1, maxLength: 30, unit: "grapheme" }),
    { maxKeys: 10 },
  );
  fc.assert(fc.property(texts, (fields) => {
    assert.deepEqual(readForm(writeForm(fields)), new Map(Object.entries(fields)));
  }));
});

Deno.test("readForm, readPath, readCookie: take any text, and bound what they keep", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[%&=+;/a-f0-9 ]{0,60}$/));
  fc.assert(fc.property(text, (input) => {
    assert.ok(readForm(input).size <= 64);
    assert.ok((readPath(input)?.length ?? 0) <= 64);
    readCookie(input, "a");
  }));
  assert.equal(readForm("a=1&".repeat(100_000)).get("a"), "1");
  assert.ok((readForm(`a=${"x".repeat(1_000_000)}`).get("a") ?? "").length <= MAX_FORM_LENGTH);
  assert.equal(readPath("/a".repeat(1000)), undefined);
  assert.equal(readPath("/%ff"), undefined);
  assert.deepEqual(readPath("//acme/a%2Fb/"), ["acme", "a/b"]);
});

Deno.test("readCookie: finds the one with this name", () => {
  assert.equal(readCookie("a=1; fz_form=x=y; b=2", "fz_form"), "x=y");
  assert.equal(readCookie("xfz_form=1", "fz_form"), undefined);
  assert.equal(readCookie(undefined, "fz_form"), undefined);
});

Deno.test("html: escapes every text, so that none becomes a tag, an attribute or an entity", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const shown = html`${text}`.html;
    assert.doesNotMatch(shown, /[<>"'`\n\u202e]/);
    assert.doesNotMatch(shown, /&(?!#\d+;)/);
  }));
  assert.equal(html`<b>${trusted("<i>")}${[html`${"<"}`, html`x`]}</b>`.html, "<b><i>&#60;x</b>");
});
