/** The connection to a bus, against the real dbus-daemon, and against a bus that lies. */

import assert from "node:assert/strict";
import { BUS, Bus, type BusSignal, NoReply } from "../../ffi/linux/dbus/bus.ts";
import { systemBusPaths } from "../../ffi/linux/dbus/handshake.ts";
import { getProperty, ownUser } from "../../ffi/linux/dbus/properties.ts";

const NAME_OWNER_CHANGED = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";

/** A service of the bus that does nothing but make the file "started" beside the socket, and end. */
const STARTED = "org.example.Started";

/** Runs `body` with the socket of a bus of its own, and a function that ends the bus. */
async function withDaemon(body: (path: string, end: () => Promise<void>) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fz-bus-" });
  const path = `${folder}/socket`;
  await Deno.writeTextFile(
    `${folder}/bus.conf`,
    `<busconfig><type>session</type><auth>EXTERNAL</auth><listen>unix:path=${path}</listen><servicedir>${folder}</servicedir>
    <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`,
  );
  await Deno.writeTextFile(
    `${folder}/${STARTED}.service`,
    `[D-BUS Service]\nName=${STARTED}\nExec=/usr/bin/touch ${folder}/started\n`,
  );
  const daemon = new Deno.Command("dbus-daemon", {
    args: [`--config-file=${folder}/bus.conf`, "--nofork", "--nopidfile", "--print-address"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = daemon.stdout.getReader();
  await reader.read();
  const end = async () => {
    try {
      daemon.kill("SIGKILL");
    } catch {
      // The test ended it.
    }
    await daemon.status;
  };
  try {
    await body(path, end);
  } finally {
    await end();
    await reader.cancel();
    await Deno.remove(folder, { recursive: true });
  }
}

async function opened(path: string): Promise<Bus> {
  const bus = await Bus.open([path]);
  assert(bus.ok, JSON.stringify(bus));
  return bus.value;
}

/** Whether `name` has an owner on the bus. */
async function hasOwner(bus: Bus, name: string): Promise<boolean> {
  const owned = await bus.call({
    ...BUS,
    member: "NameHasOwner",
    signature: "s",
    body: [name],
  });
  return owned.ok && owned.value[0] === true;
}

Deno.test("Bus: calls the real daemon, and has errors by name", () =>
  withDaemon(async (path) => {
    const bus = await opened(path);
    assert.match(bus.uniqueName, /^:1\.\d+$/);
    assert.equal(await hasOwner(bus, bus.uniqueName), true);
    assert.equal(await hasOwner(bus, "org.example.Nobody"), false);
    assert.equal(await ownUser(bus), Deno.uid());
    const features = await getProperty(bus, BUS, "Features");
    assert(features.ok && Array.isArray(features.value), JSON.stringify(features));
    const nobody = await bus.call({
      destination: "org.example.Nobody",
      path: "/",
      interface: "org.example.Nobody",
      member: "Do",
    });
    assert(!nobody.ok);
    assert.equal(nobody.reason.name, "org.freedesktop.DBus.Error.ServiceUnknown");
    bus.close();
    const late = await bus.call({ ...BUS, member: "ListNames" });
    assert(!late.ok);
    assert.equal(late.reason.name, "org.freedesktop.DBus.Error.Disconnected");
  }));

Deno.test("Bus.open: noAutoStart leaves a service that does not run alone, and without it a call starts it", () =>
  withDaemon(async (path) => {
    const started = `${path.slice(0, -"socket".length)}started`;
    const call = { destination: STARTED, path: "/", interface: STARTED, member: "Do" };
    for (const noAutoStart of [true, undefined] as const) {
      const bus = await Bus.open([path], undefined, undefined, noAutoStart);
      assert(bus.ok);
      const outcome = await bus.value.call(call);
      assert.equal(outcome.ok, false);
      const isStarted = await Deno.stat(started).then(() => true, () => false);
      assert.equal(isStarted, noAutoStart === undefined, JSON.stringify(outcome));
      bus.value.close();
    }
  }));

Deno.test("Bus: many calls at once get their own answers, and there is a bound", () =>
  withDaemon(async (path) => {
    const bus = await opened(path);
    const name = (index: number) => index % 2 === 0 ? bus.uniqueName : `org.example.N${index}`;
    const answers = await Promise.all(Array.from({ length: 64 }, (_, index) => hasOwner(bus, name(index))));
    assert.deepEqual(answers, Array.from({ length: 64 }, (_, index) => index % 2 === 0));
    const call = () =>
      bus.call({
        ...BUS,
        member: "NameHasOwner",
        ...{ signature: "s", body: ["a.b"] },
      });
    const outcomes = await Promise.all(Array.from({ length: 70 }, call));
    const refused = outcomes.filter((outcome) =>
      !outcome.ok && outcome.reason.name.endsWith("LimitsExceeded")
    );
    assert.equal(refused.length, 6);
    bus.close();
  }));

Deno.test("Bus.listen: hears the signals asked for, and when the bus ends", () =>
  withDaemon(async (path, end) => {
    const bus = await opened(path);
    const heard = Promise.withResolvers<BusSignal>();
    const closed = Promise.withResolvers<void>();
    const added = await bus.listen([NAME_OWNER_CHANGED], (signal) => {
      // The bus also tells each connection its own name, unasked.
      if (signal.member === "NameOwnerChanged") heard.resolve(signal);
    }, closed.resolve);
    assert.equal(added.ok, true);
    const other = await opened(path);
    const signal = await heard.promise;
    assert.equal(signal.body[0], other.uniqueName);
    other.close();
    await end();
    await closed.promise;
  }));

Deno.test("Bus.open: says so where there is no bus", async () => {
  const bus = await Bus.open(["/nonexistent/bus"]);
  assert(!bus.ok);
  assert.equal(bus.reason.name, "org.freedesktop.DBus.Error.Disconnected");
});

Deno.test("Bus: a bus that lies, says nothing or too much is a failed call", async () => {
  const folder = await Deno.makeTempDir({ prefix: "fz-bus-" });
  const lies: readonly Uint8Array[] = [
    new Uint8Array(4096).fill(0xff),
    // An endless message.
    Uint8Array.of(0x6c, 2, 0, 1, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0),
    // An answer of type 9, which is to be skipped, and the end.
    Uint8Array.of(0x6c, 9, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
    new Uint8Array(),
  ];
  for (const [index, lie] of lies.entries()) {
    const path = `${folder}/${index}`;
    const listener = Deno.listen({ transport: "unix", path });
    const serving = (async () => {
      using socket = await listener.accept();
      const buffer = new Uint8Array(1024);
      await socket.read(buffer);
      await socket.write(new TextEncoder().encode("OK 0123456789abcdef\r\n"));
      let said = "";
      while (!said.includes("Hello")) {
        const count = await socket.read(buffer);
        if (count === null) return;
        said += new TextDecoder().decode(buffer.subarray(0, count));
      }
      await socket.write(lie);
    })();
    const bus = await Bus.open([path]);
    assert.equal(bus.ok, false);
    await serving;
    listener.close();
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("Bus: a service that did not answer once is not waited for again, others are asked", () =>
  withDaemon(async (path) => {
    const [bus, silent] = [await opened(path), await opened(path)];
    const call = { destination: silent.uniqueName, path: "/", interface: "a.b", member: "C" };
    const first = await bus.call({ ...call, timeoutMs: 50 });
    assert.equal(!first.ok && first.reason.name, NoReply);
    let second: unknown;
    const asked = bus.call({ ...call, timeoutMs: 600_000 }).then((outcome) => second = outcome);
    assert.equal(await hasOwner(bus, silent.uniqueName), true);
    assert.notEqual(second, undefined);
    await asked;
    bus.close();
    silent.close();
  }));

Deno.test("systemBusPaths reads addresses as the specification writes them", () => {
  assert.deepEqual(
    systemBusPaths("unix:path=/a/b,guid=12;unix:abstract=/x;tcp:host=h;unix:guid=1,path=/c%20d"),
    [
      "/a/b",
      "/c d",
    ],
  );
  assert.deepEqual(systemBusPaths("unix:path=%zz"), []);
  assert.deepEqual(systemBusPaths(""), ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"]);
});
