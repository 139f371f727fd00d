import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_HEAD_BYTES } from "../../io/control/byte_stream.ts";
import { Hub } from "../../io/service/hub.ts";
import type { Log } from "../../lib/base/log.ts";
import { silentLog } from "../../lib/base/log.ts";
import type { SessionEvent } from "../../lib/control/api.ts";
import { exchange, readToEnd, STATUS, statuses, withControl } from "./control_fixture.ts";

const GET = "GET /v1/status HTTP/1.1\r\nhost: fz\r\n\r\n";
const post = (path: string, body: string, more = "") =>
  `POST ${path} HTTP/1.1\r\nhost: fz\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;

Deno.test("serveControl: refuses what is no request of the API, and says why", async () => {
  const table: [request: string, status: number, words: RegExp][] = [
    [post("/v1/explain", "{nonsense"), 400, /"usage".*not JSON at line 1, column 2: expected/],
    [post("/v1/explain", '{"target":\n "x",}'), 400, /line 2, column 6: expected a name/],
    [post("/v1/explain", "[]"), 400, /not a JSON object/],
    [post("/v1/explain", ""), 400, /the field \\"target\\" is missing/],
    [post("/v1/explain", '{"target":"x","port":70000}'), 400, /\\"port\\" is not <=65535/],
    [post("/v1/wait", '{"targets":["a",7]}'), 400, /\\"targets\.1\\" is not string/],
    [post("/v1/explain", '{"target":""}'), 400, /length of \\"target\\"/],
    [post("/v1/explain", "\xff\xfe{}").replace("content-length: 4", "content-length: 6"), 400, /not JSON/],
    [
      "GET /v2/status HTTP/1.1\r\nhost: fz\r\n\r\n",
      404,
      /version 2 of the API is not served.*Versions served: 1/,
    ],
    ["GET /v0 HTTP/1.1\r\nhost: fz\r\n\r\n", 404, /version 0/],
    ["GET /v1/nothing HTTP/1.1\r\nhost: fz\r\n\r\n", 404, /no such path/],
    ["GET /v1/status?x=1 HTTP/1.1\r\nhost: fz\r\n\r\n", 404, /paths take no query/],
    ["GET /v1/../v1/status HTTP/1.1\r\nhost: fz\r\n\r\n", 404, /no such path/],
    ["DELETE /v1/status HTTP/1.1\r\nhost: fz\r\n\r\n", 405, /the path takes GET/],
    ["HEAD /v1/status HTTP/1.1\r\nhost: fz\r\n\r\n", 405, /allow: GET/],
    ["GET /v1/status HTTP/1.1\r\n\r\n", 400, /missing host/],
    ["GET /v1/status HTTP/2.0\r\nhost: fz\r\n\r\n", 505, /HTTP\/1\.1/],
    ["GET  /v1/status HTTP/1.1\r\nhost: fz\r\n\r\n", 400, /request line/],
    ["GET /v1/status\r\n\r\n", 400, /request line/],
    ["GET /v1/status HTTP/1.1\nhost: fz\n\n", 400, /bare line feed/],
    ["GET /v1/st\0atus HTTP/1.1\r\nhost: fz\r\n\r\n", 400, /control character/],
    ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, /control character/],
    ["GET /v1/status HTTP/1.1\r\nhost: fz\r\nhost: other\r\n\r\n", 400, /repeated header/],
    ["GET /v1/status HTTP/1.1\r\nhost: fz\r\n folded: 1\r\n\r\n", 400, /header/],
    [post("/v1/stop", "{}", "content-length: 3\r\n"), 400, /repeated header/],
    [post("/v1/stop", "{}", "transfer-encoding: chunked\r\n"), 400, /transfer coding/],
    ["POST /v1/stop HTTP/1.1\r\nhost: fz\r\ntransfer-encoding: gzip\r\n\r\n", 400, /transfer coding/],
    ["POST /v1/stop HTTP/1.1\r\nhost: fz\r\ncontent-length: -1\r\n\r\n", 400, /length/],
    ["POST /v1/stop HTTP/1.1\r\nhost: fz\r\ncontent-length: 99999999999999999999\r\n\r\n", 400, /length/],
    ["POST /v1/stop HTTP/1.1\r\nhost: fz\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, /chunk/],
    ["POST /v1/stop HTTP/1.1\r\nhost: fz\r\nexpect: magic\r\ncontent-length: 2\r\n\r\n{}", 417, /expects/],
    [post("/v1/explain", JSON.stringify({ target: "x".repeat(70_000) })), 413, /longer than 65536 bytes/],
    [
      `GET /v1/status HTTP/1.1\r\nhost: fz\r\nx: ${"y".repeat(20_000)}\r\n\r\n`,
      431,
      /longer than 16384 bytes/,
    ],
    [`GET /${"a".repeat(100_000)}`, 431, /head/],
  ];
  await withControl({}, async ({ raw }) => {
    for (const [request, status, words] of table) {
      const answer = await raw(request);
      assert.deepEqual(statuses(answer), [status], `${request.slice(0, 80)} → ${answer}`);
      assert.match(answer, words);
      assert.match(answer, /\{"error":\{"code":"usage","message":"/);
    }
    assert.deepEqual(statuses(await raw(GET)), [200], "and the next is served");
  });
});

Deno.test("serveControl: never repeats a token that it was sent in the wrong form", async () => {
  const secret = "s3cret-of-mine";
  await withControl({}, async ({ raw }) => {
    for (
      const body of [
        `{"token":"${secret} x"}`,
        `{"token":${secret}}`,
        `{"tokens":"${secret}"}`,
        `{"token":["${secret}"]}`,
        `{"token":"${secret}`,
      ]
    ) {
      const answer = await raw(post("/v1/credential", body));
      assert.deepEqual(statuses(answer), [400]);
      assert.ok(!answer.includes(secret), answer);
    }
  });
});

Deno.test("serveControl: takes requests in pieces, in chunks, several at once, and those of HTTP/1.0", async () => {
  await withControl(
    { handlers: { setLogFilter: ({ filter }) => ({ schema: 1, filter: filter ?? "" }) } },
    async ({ raw, paths }) => {
      assert.deepEqual(statuses(await raw(GET + GET + post("/v1/stop", "{}") + GET)), [200, 200, 200, 200]);
      const chunked = "POST /v1/log-filter HTTP/1.1\r\nhost: fz\r\ntransfer-encoding: chunked\r\n\r\n" +
        '5;x=y\r\n{"fil\r\nc\r\nter":"info"}\r\n0\r\nx: y\r\n\r\n';
      assert.match(await raw(chunked), /"filter":"info"/);
      assert.match(await raw("GET /v1/status HTTP/1.0\r\n\r\n"), /connection: close[^]*"state":"connected"/);
      assert.match(await raw(`\r\n\r\n${GET}`), /200 OK/);
      using connection = await Deno.connect({ transport: "unix", path: paths.controlSocket });
      for (const byte of new TextEncoder().encode(GET)) await connection.write(Uint8Array.of(byte));
      const buffer = new Uint8Array(65_536);
      const count = await connection.read(buffer);
      assert.match(new TextDecoder().decode(buffer.subarray(0, count ?? 0)), /200 OK/);
    },
  );
});

Deno.test("serveControl: says what curl expects before it sends a body", async () => {
  await withControl({}, async ({ raw }) => {
    const answer = await raw(post("/v1/stop", "{}", "expect: 100-continue\r\n"));
    assert.deepEqual(statuses(answer), [100, 200]);
  });
});

Deno.test("serveControl: survives every sequence of bytes", async () => {
  await withControl({ limits: { headMs: 300, bodyMs: 300 } }, async ({ raw }) => {
    const noise = fc.uint8Array({ maxLength: 300 });
    const damaged = fc.tuple(
      fc.constantFrom(GET, post("/v1/explain", '{"target":"x"}')),
      fc.nat(),
      fc.nat(255),
    ).map(
      ([text, at, byte]) => {
        const bytes = new TextEncoder().encode(text);
        bytes[at % bytes.length] = byte;
        return bytes;
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(noise, damaged), async (bytes) => {
        for (const status of statuses(await raw(bytes))) assert.ok(status >= 200 && status < 506);
      }),
      { numRuns: 300 },
    );
    assert.deepEqual(statuses(await raw(GET)), [200]);
  });
});

Deno.test("serveControl: drops who does not finish a head, or a body, in time", async () => {
  await withControl({ limits: { headMs: 60, bodyMs: 60 } }, async ({ paths }) => {
    for (
      const start of [
        "",
        "GET /v1/status HT",
        "POST /v1/stop HTTP/1.1\r\nhost: fz\r\ncontent-length: 9\r\n\r\n{",
      ]
    ) {
      using connection = await Deno.connect({ transport: "unix", path: paths.controlSocket });
      if (start !== "") await connection.write(new TextEncoder().encode(start));
      assert.equal(await readToEnd(connection), "", "closed without a word");
    }
    // A byte now and then does not prolong it.
    using slow = await Deno.connect({ transport: "unix", path: paths.controlSocket });
    const closed = readToEnd(slow);
    let isClosed = false;
    void closed.then(() => isClosed = true);
    while (!isClosed) {
      try {
        await slow.write(Uint8Array.of(65));
      } catch {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await closed;
  });
});

Deno.test("serveControl: drops who asks and does not read, and asks the handler for no more than he takes", async () => {
  let made = 0;
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const handlers = {
    async *capture() {
      try {
        for (;; made++) {
          yield new Uint8Array(65_536);
          await Promise.resolve();
        }
      } finally {
        resolve();
      }
    },
  };
  await withControl({ handlers, limits: { writeMs: 80 } }, async ({ paths, raw }) => {
    using connection = await Deno.connect({ transport: "unix", path: paths.controlSocket });
    await connection.write(new TextEncoder().encode(post("/v1/capture", "{}")));
    await ended;
    assert.ok(made < 1000, `${made} pieces were made for nobody`);
    assert.deepEqual(statuses(await raw(GET)), [200]);
  });
});

Deno.test("serveControl: ends a stream whose client has closed, also in silence", async () => {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const handlers = {
    async *log(_: unknown, signal: AbortSignal) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      resolve();
      yield* [];
    },
  };
  await withControl({ handlers }, async ({ paths }) => {
    const connection = await Deno.connect({ transport: "unix", path: paths.controlSocket });
    await connection.write(new TextEncoder().encode(post("/v1/log", '{"follow":true}')));
    assert.ok(await connection.read(new Uint8Array(4096)), "the head comes before the first line");
    connection.close();
    await ended;
  });
});

Deno.test("serveControl: a thousand idle clients shut nobody out", async () => {
  await withControl({}, async ({ paths, raw, client }) => {
    const idle: Deno.Conn[] = [];
    try {
      for (let count = 0; count < 1000; count++) {
        idle.push(await Deno.connect({ transport: "unix", path: paths.controlSocket }));
      }
      assert.deepEqual(statuses(await raw(GET)), [200]);
      const control = await client("change");
      const answers = await Promise.all(Array.from({ length: 100 }, () => control.ask("status", {})));
      assert.equal(answers.filter(({ state }) => state === "connected").length, 100);
    } finally {
      for (const connection of idle) connection.close();
    }
  });
});

Deno.test("serveControl: has room for so many streams, and says so to the next", async () => {
  const handlers = {
    async *events(_: unknown, signal: AbortSignal) {
      yield { time: "t", event: "first" };
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    },
  };
  await withControl({ handlers, limits: { streams: 2 } }, async ({ client }) => {
    const control = await client("read");
    const open = () => control.lines("events", {})[Symbol.asyncIterator]();
    const [first, second, third] = [open(), open(), open()];
    await first.next();
    await second.next();
    await assert.rejects(() => third.next(), { code: "unexpected", message: /2 streams are open already/ });
    await first.return!();
    // The server hears of it a moment later.
    for (let tries = 0; tries < 9000; tries++) {
      const next = open();
      try {
        assert.equal((await next.next()).value.event, "first");
        await next.return!();
        await second.return!();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    assert.fail("the place was not given back");
  });
});

Deno.test("serveControl: turns away with a word when all are busy", async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const { promise: full, resolve: isFull } = Promise.withResolvers<void>();
  let busy = 0;
  const handlers = {
    status: async () => {
      if (++busy === 3) isFull();
      await goOn;
      return STATUS;
    },
  };
  await withControl({ handlers, limits: { connections: 3 } }, async ({ raw }) => {
    const answers = [raw(GET), raw(GET), raw(GET)];
    await full;
    assert.match(await raw("GET /v1 HTTP/1.1\r\nhost: fz\r\n\r\n"), /503[^]*too many ask at once/);
    resolve();
    for (const answer of await Promise.all(answers)) assert.deepEqual(statuses(answer), [200]);
  });
});

Deno.test("serveControl: logs a bug by its name, and its words at debug only", async () => {
  const lines: [level: string, fields: unknown][] = [];
  const note = (level: string) => (_: string, fields?: unknown) => void lines.push([level, fields]);
  const log: Log = { ...silentLog, error: note("error"), debug: note("debug") };
  const handlers = {
    status: () => {
      throw new TypeError("alice@example.com");
    },
  };
  await withControl({ handlers, log }, async ({ raw }) => {
    assert.deepEqual(statuses(await raw(GET)), [500]);
  });
  const errors = lines.filter(([level]) => level === "error");
  assert.deepEqual(errors, [["error", { route: "status", error: "TypeError" }]]);
});

Deno.test("serveControl: stop waits for an answer under way, ends idle clients and removes the sockets", async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const handlers = {
    stop: async () => {
      await goOn;
      return { schema: 1 as const };
    },
  };
  await withControl({ handlers }, async ({ raw, stop, paths }) => {
    const idle = exchange(paths.controlSocket, GET);
    await idle;
    const answer = raw(post("/v1/stop", "{}"));
    // The request has arrived when another that came later is answered.
    await raw(GET);
    const stopped = stop();
    resolve();
    assert.deepEqual(statuses(await answer), [200]);
    await stopped;
    assert.throws(() => Deno.lstatSync(paths.controlSocket), Deno.errors.NotFound);
  });
});

Deno.test("serveControl: a client that follows events and never reads is let go, and nobody else notices", async () => {
  const hub = new Hub<SessionEvent>({ time: "t", event: "dropped" });
  const handlers = { events: (_: unknown, signal: AbortSignal) => hub.subscribe(signal) };
  await withControl({ handlers, limits: { writeMs: 100 } }, async ({ paths, raw, client }) => {
    using deaf = await Deno.connect({ transport: "unix", path: paths.controlSocket });
    await deaf.write(new TextEncoder().encode("GET /v1/events HTTP/1.1\r\nhost: fz\r\n\r\n"));
    const heard = (await client("read")).lines("events", {})[Symbol.asyncIterator]();
    const first = heard.next();
    while (hub.readers < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const filler = "x".repeat(1000);
    let count = 0;
    // As fast as the one who reads takes them.
    let step = first;
    do {
      hub.publish({ time: "t", event: "note", count: count++, filler });
      assert.equal((await step).value.count, count - 1);
      step = heard.next();
    } while (hub.readers > 1 && count < 100_000);
    assert.equal(hub.readers, 1);
    assert.deepEqual(statuses(await raw(GET)), [200]);
    hub.close();
    assert.equal((await step).done, true);
  });
});

Deno.test("serveControl: two thousand clients that ask nothing shut out neither the owner nor readers", async () => {
  await withControl({}, async ({ paths, raw, client }) => {
    const idle: Deno.Conn[] = [];
    try {
      for (let count = 0; count < 2000; count++) {
        const connection = await Deno.connect({ transport: "unix", path: paths.controlSocket });
        idle.push(connection);
        // Half of them begin to say something.
        if (count % 2 === 0) await connection.write(new TextEncoder().encode("GET /v1/sta")).catch(() => {});
      }
      assert.deepEqual(statuses(await raw(GET)), [200]);
      assert.equal((await (await client("read")).ask("status", {})).state, "connected");
      const { length } = [...Deno.readDirSync("/proc/self/fd")];
      assert.ok(length < 2000 + 600, `${length} descriptors are open`);
    } finally {
      for (const connection of idle) connection.close();
    }
  });
});

Deno.test("serveControl: heads at and over the limit, many headers, and other versions of everything", async () => {
  const head = (headers: string) =>
    `GET /v1/status HTTP/1.1\r\nhost: fz\r\nconnection: close\r\n${headers}\r\n`;
  const room = MAX_HEAD_BYTES - head("x: \r\n").length;
  const table: [request: string, expected: readonly number[]][] = [
    [head(`x: ${"y".repeat(room)}\r\n`), [200]],
    [head(`x: ${"y".repeat(room + 1)}\r\n`), [431]],
    [head(Array.from({ length: 500 }, (_, index) => `x-${index}: 1\r\n`).join("")), [200, 400, 431]],
    [head("x: y\r\n".repeat(10_000)), [431]],
    [head(`${"n".repeat(20_000)}: 1\r\n`), [431]],
    [GET.replace("/v1/", "/v3/"), [404]],
    [GET.replace("/v1/", "/V1/"), [404]],
    // RFC 9112, section 2.3: a later minor version is one that can be understood.
    [GET.replace("HTTP/1.1", "HTTP/1.2"), [200]],
    [GET.replace("HTTP/1.1", "HTTP/0.9"), [505]],
    [GET.replace("HTTP/1.1", "HTTP/3"), [400, 505]],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]],
    [GET.replace("GET", "BREW"), [405]],
    [GET.replace("GET", "get"), [400, 405]],
    [GET.replace("GET", "G\u00ebT"), [400]],
  ];
  await withControl({}, async ({ raw }) => {
    for (const [request, expected] of table) {
      const [status] = statuses(await raw(request));
      assert.ok(expected.includes(status ?? 0), `${request.slice(0, 40)} (${request.length}) → ${status}`);
    }
    assert.deepEqual(statuses(await raw(GET)), [200]);
  });
});
