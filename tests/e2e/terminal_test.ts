/** Commands as a person meets them: at a real terminal, narrow or without colours, and with Ctrl+C. */

import assert from "node:assert/strict";
import { textWidth } from "../../cli/table.ts";
import type { NetworkOptions } from "./support/network.ts";
import { eventually, onNetwork } from "./support/on_network.ts";
import { TOKENS } from "./support/seed.ts";
import { Shell } from "./support/shell.ts";
import { tracesOn } from "./support/traces.ts";

const TOKEN_FILE = "/etc/dev.firezone.client/token";
const MORE: NonNullable<NetworkOptions["resources"]> = [
  {
    name: "The wiki of the engineers, not to be shared",
    type: "dns",
    address: "a-very-long-name-of-a-host.engineering.corp.example",
    site: "site",
  },
];
// deno-lint-ignore no-control-regex
const ESCAPE = /\x1b/;

Deno.test(
  "fz at a terminal: signs in, connects, watches, and gives the terminal back",
  onNetwork({ underlay: "ipv4", resources: MORE }, async (network, check) => {
    const clean = await tracesOn(network.client);
    await using shell = await Shell.start(network);
    const { terminal } = shell;

    await check(
      "nobody to ask: sign-in, sign-out and profile remove end at once with the next step",
      async () => {
        await network.client.must(["mkdir", "-p", "/etc/fz/profiles"]);
        await network.client.writeFile("/etc/fz/profiles/old.toml", "");
        await network.client.writeFile("/etc/fz/profiles/old.token", `${TOKENS.client}\n`, 0o600);
        const table: [command: string, next: RegExp][] = [
          ["sign-in", /--token-stdin/],
          ["sign-out --profile old", /--force/],
          ["profile remove old", /--force|sign-out/],
        ];
        for (const [command, next] of table) {
          for (const input of ["</dev/null", "<&-"]) {
            const { code, screen } = await shell.run(`fz ${command} ${input}`);
            assert.equal(code, 2, `${command} ${input}:\n${screen}`);
            assert.match(screen, next);
          }
        }
        await network.client.must(["rm", "-r", "/etc/fz"]);
      },
    );

    await check("a wrong token is refused by the portal's word, and shown nowhere", async () => {
      await shell.begin("fz sign-in --account-slug lab --no-browser");
      await terminal.shows(/^Token: ?$/m);
      await terminal.paste("n0nce.s3cret-s3cret\r\n");
      const { code, screen } = await shell.end();
      assert.equal(code, 3, screen);
      assert.match(screen, /^fz: The portal does not accept the token/m);
      assert.ok(!screen.includes("s3cret"), screen);
      await assert.rejects(network.client.readFile(TOKEN_FILE));
    });

    await check("40 columns: a code that does not fit is left out, and no line is torn", async () => {
      await terminal.resize(40, 60);
      const slug = `lab-${"x".repeat(60)}`;
      const { code, screen } = await shell.interrupt(
        `fz sign-in --account-slug ${slug} --no-browser`,
        /^Token: ?$/m,
      );
      assert.equal(code, 130, screen);
      assert.doesNotMatch(screen, /[█▀▄]/);
      assertWhole(screen, 40);
    });

    await check("the right one, pasted with its line break, signs in", async () => {
      await shell.begin("fz sign-in --account-slug lab --no-browser");
      await terminal.shows(/^Token: ?$/m);
      await terminal.paste(`${TOKENS.client}\r\n`);
      const { code, screen } = await shell.end();
      assert.equal(code, 0, screen);
      assert.match(screen, /^Signed in as robot, .*\n?.* 7 resources$/m);
      assert.ok(!screen.includes(TOKENS.client), screen);
      assertWhole(screen, 40);
      await terminal.resize(80, 50);
    });

    await check("up: Ctrl+C leaves it going on in the background, and says so", async () => {
      await network.role("portal").process.stop();
      const { code, screen } = await shell.interrupt("fz up", /connection refused/);
      assert.equal(code, 130, screen);
      assert.match(screen, /^fz: The session goes on connecting: `fz status` .* `fz down`\n {4}ends it\n$/);
      const status = await shell.run("fz status");
      assert.equal(status.code, 5, status.screen);
      assert.match(status.screen, /^Connecting to /);
      await network.startPortal();
      assert.equal((await shell.run("fz up")).code, 0);
    });

    await check("status --watch: shows what changes, through another size and an absent portal", async () => {
      await shell.begin("fz status --watch");
      await terminal.shows(/^Connected as "client" [^]* 0 gateways[^]*^lan6 .* not used yet$/m);
      assert.deepEqual(await terminal.mode(), { hasCursor: false, isOther: true });
      await network.curl("http://172.20.0.10/");
      await terminal.shows(/1 gateway \(direct[^]*^GATEWAY [^]*^site \w{8}\s+direct \d/m);
      await network.fz(["resource", "disable", "lan6"], {});
      await terminal.shows(/^lan6 .* disabled$/m);
      await terminal.resize(40, 50);
      await terminal.shows(/^lan6 +disabled$/m);
      assertWhole(await terminal.writtenScreen(), 40);
      assert.match(await terminal.screen(), /^exact +(online|not used yet)$/m);
      await terminal.resize(80, 12);
      await terminal.shows(/^… \d+ more lines\nCtrl\+C ends it\.$/m);
      await terminal.resize(80, 50);
      await terminal.shows(/^lan6 +fd20::\/64 +disabled$/m);
      await network.role("portal").process.stop();
      await terminal.shows(/ is away: /);
      await network.startPortal();
      await terminal.shows(/^Connected as "client" to /m);
      await terminal.press("C-c");
      const { code, screen } = await shell.end();
      assert.equal(code, 0);
      assert.equal(screen.trim(), "", "the screen is not as before");
    });

    await check("Ctrl+C: ends what goes on for ever, with what there is to say", async () => {
      const file = "/run/x.pcapng";
      const table: [command: string, shows: RegExp, code: number, end: RegExp][] = [
        [
          "fz ping exact",
          /^reply [^]*^reply /m,
          0,
          /\^C\n[^]*^exact: \d+ probes, \d+ replies, \d+% lost\nround trip: /m,
        ],
        ["fz wait --timeout 60s nothing", /"nothing".*waiting/, 130, /^$/],
        ["FIREZONE_API_URL=ws://198.18.1.99:8081/ fz netcheck", /measuring the way/, 130, /^$/],
        ["FIREZONE_API_URL=ws://198.18.1.99:8081/ fz doctor", /looking at this machine/, 130, /^$/],
        ["fz watch", /is connected$/m, 0, /^\d\d:\d\d:\d\d {2}The session is connected\n\^C\n$/],
        ["fz log -f", /connected to gateway/, 0, /\^C\n$/],
        [`fz capture -o ${file}`, /^Capturing/m, 0, /^\^C\n\d+ packets?, [\d.]+ \w+ in "\/run\/x\.pcapng"$/m],
      ];
      for (const [command, shows, expected, end] of table) {
        const { code, screen } = await shell.interrupt(command, shows);
        assert.equal(code, expected, `${command}:\n${screen}`);
        assert.match(screen, end, `${command}:\n${screen}`);
      }
      await network.client.must(["tcpdump", "-n", "-r", file]);
      assert.match((await shell.run("fz status")).screen, /^Connected as/);
    });

    await check("a pipe whose reader goes ends what writes to it", async () => {
      for (
        const [command, first] of [
          ["fz status --watch | head -1", /^[\dT:.-]+Z Connected as /],
          ["fz watch | head -1", /^\{"schema":1,.*"event":"status"/],
          ["fz log -f | head -1", /^[\dT:.-]+Z [A-Z]+ +fz: /],
          ["fz ping exact | head -1", /^reply from /],
        ] as const
      ) {
        const { code, screen } = await shell.run(`${command}; test "\${PIPESTATUS[*]}" = "0 0"`);
        assert.equal(code, 0, `${command}:\n${screen}`);
        assert.match(screen, first, `${command}:\n${screen}`);
      }
    });

    await check("40 columns: answers are whole, errors and help too", async () => {
      await terminal.resize(40, 200);
      const table: [command: string, answer: RegExp][] = [
        ["fz status", /^exact +\w/m],
        ["fz resource list", /exact\.site\.test/],
        ["fz resource show exact", /^Id\n {2}[0-9a-f-]{36}$/m],
        ["fz explain exact.site.test", /^Resource "exact" leads there/],
        ["fz explain 9.9.9.9", /^No resource leads there/],
        ["fz dns", /100\.100\.111\.1/],
        ["fz internet", /^Off: /],
        ["fz whoami", /^Actor +robot/m],
        ["fz profile list", /^\* +default/m],
        ["fz config show", /dns-control/],
        ["fz doctor", /^A session can work here/m],
        ["fz netcheck", /^Verdict +UDP/],
        ["fz ping -c 1 exact", /^reply from/],
        ["fz help", /^ +status /m],
        ["fz help dns", /./],
        ["fz help up", /--timeout/],
        ["fz up", /^already connected/i],
        ["fz wait nothing --timeout 1s", /^ {4}.*`fz resource list`/m],
        ["fz frobnicate", /Unknown command "frobnicate"/],
        ["fz status --wotch", /--watch/],
      ];
      for (const [command, answer] of table) {
        const { screen } = await shell.run(command);
        assert.match(screen, answer, `${command}:\n${screen}`);
        assertWhole(screen, 40, command);
      }
      await terminal.resize(80, 50);
    });

    await check("colours: none with NO_COLOR, at a dumb terminal, and in a pipe", async () => {
      for (
        const [setting, isColoured] of [["true", true], ["export NO_COLOR=1", false], [
          "export TERM=dumb",
          false,
        ]] as const
      ) {
        for (const command of ["status", "explain exact", "nonsense"]) {
          await shell.run(`(${setting}; fz ${command})`);
          assert.equal(ESCAPE.test(await terminal.colouredScreen()), isColoured, `${setting} ${command}`);
        }
      }
      for (
        const command of ["status", "resource", "explain exact", "dns", "doctor", "whoami", "help", "log"]
      ) {
        const { stdout, stderr } = await network.fz(command.split(" "), {
          FIREZONE_API_URL: network.portalUrl,
        });
        assert.notEqual(stdout, "", stderr);
        assert.doesNotMatch(stdout + stderr, ESCAPE, command);
      }
    });

    await check("status --watch: a killed session is told, with exit code 12", async () => {
      await shell.begin("fz status --watch");
      await terminal.shows(/^Connected/);
      const [, pid] = /pid (\d+)/.exec(await terminal.screen())!;
      await network.client.must(["kill", "-9", pid!]);
      await terminal.shows(/^The session was killed/m);
      const { code, screen } = await shell.end();
      assert.equal(code, 12, screen);
      assert.match(screen, new RegExp(`^fz: The session was killed \\(pid ${pid}\\)[^]*\`fz cleanup\``));
      assert.equal((await shell.run("fz cleanup")).code, 0);
    });

    await check("run: Ctrl+C disconnects gracefully", async () => {
      const { code, screen } = await shell.interrupt("fz run", /ready device=fz0/);
      assert.equal(code, 0, screen);
      assert.match((await shell.run("fz status")).screen, /^fz: No session runs/);
    });

    await check("dev: Ctrl+C ends all of it", async () => {
      const { code, screen } = await shell.interrupt("fz dev", /Run a client/);
      assert.equal(code, 0, screen);
    });

    await check(
      "sign-out: asks; no keeps everything, yes ends the session and forgets the token",
      async () => {
        assert.equal((await shell.run("fz up")).code, 0);
        await shell.begin("fz sign-out");
        await terminal.shows(/\[y\/N\] ?$/m);
        await terminal.press("n", "Enter");
        assert.match((await shell.end()).screen, /^Nothing was changed\.?$/m);
        assert.match((await shell.run("fz status")).screen, /^Connected as/);
        await shell.begin("fz sign-out");
        await terminal.shows(/\[y\/N\] ?$/m);
        await terminal.press("y", "Enter");
        const { code, screen } = await shell.end();
        assert.equal(code, 0, screen);
        assert.match(screen, /^Signed out\.?$/m);
        assert.equal((await shell.run("fz status")).code, 12);
        await assert.rejects(network.client.readFile(TOKEN_FILE));
        // What the profile remembers of the sign-in stays.
        await network.client.must(["rm", "-r", "/etc/dev.firezone.client", "/etc/fz"]);
        await eventually(async () => assert.equal(await tracesOn(network.client), clean));
      },
    );
  }),
);

/** Asserts that the terminal had to break no line but those of one word, which nobody else may break. */
function assertWhole(screen: string, columns: number, what = ""): void {
  for (const line of screen.split("\n")) {
    const isOneWord = !line.trim().includes(" ");
    assert.ok(isOneWord || textWidth(line) <= columns, `${what}: "${line}" in\n${screen}`);
  }
}
