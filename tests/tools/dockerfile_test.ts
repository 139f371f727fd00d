/** The image's recipe, as far as it can be tried without an engine: it takes what is there, and does what install.sh does. */

import assert from "node:assert/strict";

const ROOT = new URL("../..", import.meta.url).pathname;
const read = (path: string) => Deno.readTextFileSync(`${ROOT}${path}`);

/** Instructions with their continued lines joined. */
const INSTRUCTIONS = read("Dockerfile").replaceAll("\\\n", " ").split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [name = "", ...words] = line.trim().split(/\s+/);
    return { name, text: words.join(" ") };
  });
const texts = (name: string) => INSTRUCTIONS.filter((each) => each.name === name).map(({ text }) => text);

Deno.test("Dockerfile: copies what exists, is let in by .dockerignore, and is all that the program imports", () => {
  const allowed = read(".dockerignore").split("\n").filter((line) => line.startsWith("!")).map((line) =>
    line.slice(1)
  );
  const copied = texts("COPY").filter((text) => !text.startsWith("--from")).flatMap((text) =>
    text.split(" ").slice(0, -1)
  );
  for (const source of copied) {
    assert.ok(Deno.statSync(`${ROOT}${source}`));
    assert.ok(allowed.some((path) => source === path || source.startsWith(`${path}/`)), source);
  }
  for (const source of ["main.ts", "deno.json", "deno.lock", "cli", "ffi", "io", "lib"]) {
    assert.ok(copied.includes(source), source);
  }
});

Deno.test("Dockerfile: the runtime, the packages and the flags of install.sh", () => {
  const installer = read("install.sh");
  const version = /^DENO_VERSION=(\S+)$/m.exec(installer)?.[1];
  assert.ok(texts("ARG").includes(`DENO_VERSION=${version}`));
  const packages = /^PRODUCT_PACKAGES="(.*)"$/m.exec(installer)?.[1]?.split(" ") ?? [];
  assert.ok(packages.length > 0);
  const installed = texts("RUN").at(-2) ?? "";
  for (const name of packages) assert.match(installed, new RegExp(` ${name} `), name);
  const flags = /run (--quiet .*) --config/.exec(installer)?.[1];
  assert.ok(flags !== undefined && read("docker/fz").includes(` run ${flags} --config`));
});

Deno.test("Dockerfile: runs fz run, is stopped by SIGTERM, and asks whether it lives", () => {
  assert.deepEqual(texts("ENTRYPOINT"), ['["fz"]']);
  assert.deepEqual(texts("CMD"), ['["run"]']);
  assert.deepEqual(texts("STOPSIGNAL"), ["SIGTERM"]);
  assert.match(texts("HEALTHCHECK")[0] ?? "", /CMD \["fz", "status", "--check", "live"\]$/);
});

Deno.test("docker/fz: a user gets the runtime with the capability only where the container has it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const runtime = (name: string) => `#!/bin/sh\necho ${name} "$@"\n`;
    await Deno.mkdir(`${folder}/capable`);
    for (const [path, name] of [["deno", "plain"], ["capable/deno", "capable"]] as const) {
      await Deno.writeTextFile(`${folder}/${path}`, runtime(name));
      await Deno.chmod(`${folder}/${path}`, 0o755);
    }
    const script = read("docker/fz").replaceAll("/usr/local/lib/fz", folder).replace(
      "</proc/self/status",
      `<${folder}/status`,
    );
    const chosen = async (uid: number, bounding: string) => {
      await Deno.writeTextFile(`${folder}/status`, `Name:\tsh\nCapBnd:\t${bounding}\n`);
      const { stdout } = await new Deno.Command("sh", {
        args: ["-c", script.replace("$(id -u)", String(uid)), "fz", "run", "a b"],
      }).output();
      return new TextDecoder().decode(stdout);
    };
    assert.match(await chosen(990, "00000000a80435fb"), /^capable run .*main\.ts run a b\n$/);
    assert.match(await chosen(990, "00000000a80425fb"), /^plain run /);
    assert.match(await chosen(990, "0000000000001000"), /^capable run /);
    assert.match(await chosen(0, "0000000000001000"), /^plain run /);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
