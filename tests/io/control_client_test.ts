import assert from "node:assert/strict";
import { Fault } from "../../lib/base/fault.ts";
import type { Control } from "../../lib/control/control.ts";
import { STATUS, withControl } from "./control_fixture.ts";

Deno.test("connectControl: asks and is answered by what the handler returns", async () => {
  await withControl({}, async ({ client }) => {
    const control: Control = await client("change");
    assert.deepEqual(await control.ask("status", {}), STATUS);
    assert.deepEqual(await control.ask("stop", {}), { schema: 1 });
  });
});

Deno.test("connectControl: hands the request to the handler without unknown fields", async () => {
  const asked: unknown[] = [];
  const handlers = {
    setLogFilter(request: { filter?: string | undefined }) {
      asked.push(request);
      return { schema: 1 as const, filter: request.filter ?? "info" };
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const control = await client("change");
    const request = { filter: "ice=trace", later: 1 };
    assert.equal((await control.ask("setLogFilter", request)).filter, "ice=trace");
    assert.equal((await control.ask("setLogFilter", {})).filter, "info");
  });
  assert.deepEqual(asked, [{ filter: "ice=trace" }, {}]);
});

Deno.test("connectControl: throws the Fault that the handler threw, with its next step", async () => {
  const handlers = {
    explain() {
      throw new Fault("unknown-resource", 'Cannot explain "x": no resource matches', {
        next: "See fz resource list.",
      });
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const control = await client("read");
    await assert.rejects(control.ask("explain", { target: "x" }), {
      name: "Fault",
      code: "unknown-resource",
      message: 'Cannot explain "x": no resource matches',
      next: "See fz resource list.",
    });
  });
});

Deno.test("connectControl: a bug of a handler is told as unexpected, and the session lives", async () => {
  await withControl({}, async ({ client }) => {
    const control = await client("read");
    await assert.rejects(control.ask("dns", {}), (error: Fault) => {
      assert.equal(error.code, "unexpected");
      assert.ok(!error.message.includes("no handler"), "the bug's own words stay inside");
      return true;
    });
    assert.equal((await control.ask("version", {})).version, "0.1.0");
  });
});

Deno.test("connectControl: an answer that is not as the schema says is a bug of the session", async () => {
  const handlers = { status: () => ({ ...STATUS, pid: -1 }) };
  await withControl({ handlers }, async ({ client }) => {
    await assert.rejects((await client("read")).ask("status", {}), {
      code: "unexpected",
      message: /session failed/,
    });
  });
  await withControl({ handlers, checkAnswers: false }, async ({ client }) => {
    await assert.rejects((await client("read")).ask("status", {}), {
      code: "unexpected",
      message: /"pid" is not as expected; the session is fz 0\.1\.0, this command fz 0\.1\.0/,
    });
  });
});

Deno.test("connectControl: reads documents one a line, as they come", async () => {
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  const handlers = {
    async *events() {
      yield { time: "t", event: "first", text: "line\nbreak" };
      await goOn;
      yield { time: "t", event: "second" };
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const seen: string[] = [];
    for await (const { event } of (await client("read")).lines("events", {})) {
      seen.push(event);
      resolve();
    }
    assert.deepEqual(seen, ["first", "second"]);
  });
});

Deno.test("connectControl: a stream that fails midway throws its Fault after what came before", async () => {
  const handlers = {
    async *ping() {
      yield { event: "done" as const, target: "x", sent: 1, received: 0 };
      await Promise.resolve();
      throw new Fault("offline", "Cannot ping: the gateway is offline");
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const lines = (await client("read")).lines("ping", { target: "x" })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value.event, "done");
    await assert.rejects(() => lines.next(), {
      code: "offline",
      message: "Cannot ping: the gateway is offline",
    });
  });
});

Deno.test("connectControl: bytes come as they are, and a failure among them is a Fault", async () => {
  const data = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
  const handlers = {
    async *capture() {
      yield data;
      await Promise.resolve();
      throw new Fault("tun", "Cannot capture: „tun“ is gone");
    },
    metrics: () => {
      throw new Fault("not-running", "Nothing to measure");
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const control = await client("change");
    const parts: Uint8Array[] = [];
    await assert.rejects(async () => {
      for await (const part of control.bytes("capture", {})) parts.push(part);
    }, { code: "tun", message: "Cannot capture: „tun“ is gone" });
    assert.deepEqual(new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer()), data);
    await assert.rejects(async () => {
      for await (const _ of control.bytes("metrics", {}));
    }, { code: "not-running", message: "Nothing to measure" });
  });
});

Deno.test("connectControl: the handler hears that the reader has stopped, by whatever way", async () => {
  let ended = 0;
  const { promise: twice, resolve } = Promise.withResolvers<void>();
  const handlers = {
    async *events(_: unknown, signal: AbortSignal) {
      try {
        yield { time: "t", event: "first" };
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      } finally {
        if (++ended === 2) resolve();
      }
    },
  };
  await withControl({ handlers }, async ({ client }) => {
    const control = await client("read");
    for await (const _ of control.lines("events", {})) break;
    const abort = new AbortController();
    const seen: string[] = [];
    for await (const { event } of control.lines("events", {}, abort.signal)) {
      seen.push(event);
      abort.abort();
    }
    assert.deepEqual(seen, ["first"]);
    await twice;
  });
});

Deno.test("connectControl: a session that stops ends its streams in good order", async () => {
  const handlers = {
    async *events(_: unknown, signal: AbortSignal) {
      yield { time: "t", event: "first" };
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      yield { time: "t", event: "stopping" };
    },
    // Does not listen to its signal.
    async *log() {
      yield { time: "t", level: "info" as const, category: "c", message: "m" };
      await new Promise<void>(() => {});
    },
  };
  await withControl({ handlers, limits: { graceMs: 20 } }, async ({ client, stop }) => {
    const control = await client("read");
    const log = control.lines("log", {})[Symbol.asyncIterator]();
    assert.equal((await log.next()).value.message, "m");
    const seen: string[] = [];
    for await (const { event } of control.lines("events", {})) {
      seen.push(event);
      void stop();
    }
    assert.deepEqual(seen, ["first", "stopping"]);
    assert.deepEqual(await log.next(), { done: true, value: undefined });
    await assert.rejects(client("read"), { code: "not-running" });
  });
});

Deno.test("connectControl: says that no session runs, whether never started or left behind by a kill", async () => {
  await withControl({}, async ({ client, stop, paths }) => {
    await stop();
    await assert.rejects(client("read"), { name: "Fault", code: "not-running" });
    fakeServer(paths.controlSocket, "")[Symbol.dispose]();
    assert.ok(Deno.lstatSync(paths.controlSocket).isSocket, "a socket that nobody listens at");
    await assert.rejects(client("change"), { name: "Fault", code: "not-running" });
  });
});

Deno.test("connectControl: gives up on a session that accepts and does not answer", async () => {
  await withControl({}, async ({ client, stop, paths }) => {
    await stop();
    using listener = Deno.listen({ transport: "unix", path: paths.controlSocket });
    const control = await client("read", 50);
    await assert.rejects(control.ask("status", {}), { code: "timeout", message: /did not answer within/ });
    await assert.rejects(async () => {
      for await (const _ of control.lines("events", {}));
    }, { code: "timeout" });
    void listener;
  });
});

Deno.test("connectControl: a session that dies in the middle is told as gone", async () => {
  await withControl({}, async ({ client, stop, paths }) => {
    await stop();
    const answers = [
      'HTTP/1.1 200 OK\r\nserver: fz/9.9.9\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"tim',
      "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
      "",
    ];
    for (const answer of answers) {
      using _fake = fakeServer(paths.controlSocket, answer);
      await assert.rejects(async () => {
        for await (const _ of (await client("read")).lines("events", {}));
      }, { code: "not-running" });
    }
  });
});

Deno.test("connectControl: takes what a newer session adds, and names both versions where something is missing", async () => {
  await withControl({}, async ({ client, stop, paths }) => {
    await stop();
    const answer = (value: unknown) => {
      const text = JSON.stringify(value);
      return `HTTP/1.1 200 OK\r\nserver: fz/9.9.9\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
    };
    {
      using _fake = fakeServer(paths.controlSocket, answer({ ...STATUS, later: 1 }));
      assert.deepEqual(await (await client("read")).ask("status", {}), STATUS);
    }
    const { portal: _portal, ...less } = STATUS;
    using _fake = fakeServer(paths.controlSocket, answer(less));
    await assert.rejects((await client("read")).ask("status", {}), {
      code: "unexpected",
      message: /"portal" is not as expected; the session is fz 9\.9\.9, this command fz 0\.1\.0/,
      next: /`fz down`, then `fz up`/,
    });
  });
});

Deno.test("connectControl: is not impressed by something else behind the socket", async () => {
  await withControl({}, async ({ client, stop, paths }) => {
    await stop();
    for (
      const answer of [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.1 302 Found\r\n\r\n",
        "\0\0",
      ]
    ) {
      using _fake = fakeServer(paths.controlSocket, answer);
      await assert.rejects(
        (await client("read")).ask("status", {}),
        (error: unknown) => error instanceof Fault,
        answer,
      );
    }
  });
});

/** Answers every request by the same bytes. */
function fakeServer(path: string, answer: string): Disposable {
  // The runtime unlinks the name of a listener some time after its end: each has one of its own.
  const own = `${path}.${fakes++}`;
  const listener = Deno.listen({ transport: "unix", path: own });
  Deno.renameSync(own, path);
  void (async () => {
    try {
      for await (const connection of listener) {
        try {
          const count = await connection.read(new Uint8Array(4096));
          if (count !== null) await connection.write(new TextEncoder().encode(answer));
        } catch {
          // The client has gone.
        }
        connection.close();
      }
    } catch {
      // Closed.
    }
  })();
  return { [Symbol.dispose]: () => listener.close() };
}

let fakes = 0;
