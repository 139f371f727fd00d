import assert from "node:assert/strict";
import { describeError, painter, printFacts, printJson, usesColour } from "../../cli/output.ts";
import { Fault } from "../../lib/base/fault.ts";
import { fakeContext } from "./fake_context.ts";

Deno.test("usesColour: on terminals only, unless the environment says otherwise", () => {
  const table: [isTerminal: boolean, env: Record<string, string>, expected: boolean][] = [
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { TERM: "dumb" }, false],
    [false, { FORCE_COLOR: "" }, false],
    [true, { FORCE_COLOR: "" }, true],
    [false, { FORCE_COLOR: "1" }, true],
    [true, { FORCE_COLOR: "0" }, false],
    [false, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
  ];
  for (const [isTerminal, env, expected] of table) {
    const context = fakeContext({ isTerminal, env });
    assert.equal(usesColour(context.stdout, context.env), expected, JSON.stringify([isTerminal, env]));
  }
});

Deno.test("painter: leaves text as it is where there are no colours", () => {
  const pipe = fakeContext();
  assert.equal(painter(pipe.stdout, pipe.env)("red", "x"), "x");
  const terminal = fakeContext({ isTerminal: true });
  assert.equal(painter(terminal.stdout, terminal.env)("red", "x"), "\x1b[31mx\x1b[39m");
});

Deno.test("printJson: prints one line with a schema number first", () => {
  const context = fakeContext();
  printJson(context, { ok: true });
  assert.equal(context.written.stdout, '{"schema":1,"ok":true}\n');
});

Deno.test("printFacts: aligns the values", () => {
  const context = fakeContext();
  printFacts(context, [["a", "1"], ["long", "2"]]);
  assert.equal(context.written.stdout, "a     1\nlong  2\n");
});

Deno.test("describeError, printFacts: let nobody write to the terminal by a text of his", () => {
  const fault = new Fault("rejected", 'the portal answered "\x1b[2J"', { cause: new Error("\x9b1m") });
  assert.equal(describeError(fault), 'the portal answered "?[2J": ?1m');
  const context = fakeContext();
  printFacts(context, [["name", "\x1b]0;evil\x07"]]);
  assert.equal(context.written.stdout, "name  ?]0;evil?\n");
});

Deno.test("describeError: puts causes on one line and says nothing twice", () => {
  const root = new Error("connection refused");
  const middle = new Error("Cannot dial: connection refused", { cause: root });
  const fault = new Fault("unreachable", "Cannot reach portal", { cause: middle });
  assert.equal(
    describeError(fault),
    "Cannot reach portal: Cannot dial: connection refused",
  );
  assert.equal(describeError(new Fault("tun", "A: b", { cause: new Error("b") })), "A: b");
});
