/** What the shell does differently on Windows, as far as it can be told elsewhere. */

import assert from "node:assert/strict";
import { guardArguments, guardFolder } from "../../io/windows_folder.ts";
import { signalsFor } from "../../io/process_context.ts";

Deno.test("signalsFor: on Windows, Ctrl+Break and a console that closes end the program; elsewhere all is as it is called", () => {
  assert.deepEqual(signalsFor("SIGTERM", "linux"), ["SIGTERM"]);
  assert.deepEqual(signalsFor("SIGHUP", "darwin"), ["SIGHUP"]);
  assert.deepEqual(signalsFor("SIGINT", "windows"), ["SIGINT"]);
  assert.deepEqual(signalsFor("SIGTERM", "windows"), ["SIGBREAK", "SIGHUP"]);
  // What the runtime would throw for.
  assert.deepEqual(signalsFor("SIGHUP", "windows"), []);
  assert.deepEqual(signalsFor("SIGUSR1", "windows"), []);
});

Deno.test("guardArguments: leaves a folder to the system, administrators and its owner, by their numbers", () => {
  assert.deepEqual(guardArguments("C:/ProgramData/fz/run"), [
    ["C:\\ProgramData\\fz\\run", "/setowner", "*S-1-5-32-544", "/Q"],
    [
      "C:\\ProgramData\\fz\\run",
      "/inheritance:r",
      "/grant:r",
      "*S-1-5-18:(OI)(CI)F",
      "*S-1-5-32-544:(OI)(CI)F",
      "*S-1-3-4:(OI)(CI)F",
      "/Q",
    ],
  ]);
});

Deno.test("guardFolder: does nothing elsewhere", { ignore: Deno.build.os === "windows" }, () => {
  guardFolder("/nowhere/at/all");
});
