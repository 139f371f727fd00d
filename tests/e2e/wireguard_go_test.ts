/**
 * Our `Tunnel` against wireguard-go: a foreign implementation, so that both ends cannot share a mistake. Our end has no
 * TUN device; it makes and answers echo packets itself.
 */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { toBase64 } from "../../lib/base/bytes.ts";
import type { CryptoProvider } from "../../lib/base/crypto.ts";
import { IpAddress } from "../../lib/base/ip.ts";
import { silentLog } from "../../lib/base/log.ts";
import { buildEcho, parseEcho } from "../../lib/wire/icmp.ts";
import { parsePacket } from "../../lib/wire/ip.ts";
import { messageType } from "../../lib/wire/wireguard.ts";
import { MessageChecker, MessageSigner } from "../../lib/wireguard/cookie.ts";
import { publicKeyOf } from "../../lib/wireguard/noise.ts";
import { ICE_TIMERS } from "../../lib/wireguard/timers.ts";
import { Tunnel } from "../../lib/wireguard/tunnel.ts";
import { monotonicNow, readWallClock, systemRng } from "../../io/clock.ts";
import { chooseProvider } from "../../io/crypto.ts";
import { mustRun, runTool } from "../../io/lab/host.ts";
import { toolPath } from "../../io/lab/isolation.ts";
import { inLab } from "../../io/lab/lab.ts";
import { LabProcess } from "../../io/lab/process.ts";
import { sleep } from "./support/on_network.ts";
import { PATIENCE_MS } from "./support/patience.ts";

const DEVICE = "wgpeer";
const OUR_PORT = 41000;
const THEIR_PORT = 41001;
const OURS_4 = IpAddress.from("10.99.0.1");
const THEIRS_4 = IpAddress.from("10.99.0.2");
const OURS_6 = IpAddress.from("fd99::1");
const THEIRS_6 = IpAddress.from("fd99::2");
/** The upper 24 bits of what our end calls its sessions by. */
const OUR_INDEX = 0xabcdef;

/** Message types of the WireGuard paper, section 5.4. */
const INITIATION = 1;
const RESPONSE = 2;
const COOKIE_REPLY = 3;
/** Forged messages of one flood: more than wireguard-go's queue of 1024 holds. */
const FLOOD = 1500;
/** A round is over in some 100 ms on a quiet machine. */
const ROUNDS = 100;

/** A message from wireguard-go, seen before our tunnel gets it; returns what to answer instead, if anything. */
type Tap = (message: Uint8Array) => Uint8Array | undefined;

/** Our end: a tunnel on a UDP socket of the loopback, answering every echo request. */
class OurEnd {
  readonly tunnel: Tunnel;
  readonly publicKey: Uint8Array;
  readonly seen: string[] = [];
  tap: Tap = () => undefined;
  /** How many initiations of ours had a second MAC, which takes a cookie. */
  withCookie = 0;
  readonly #socket = createSocket("udp4");
  readonly #scratch = new Uint8Array(2048);
  readonly #out = new Uint8Array(2048);
  readonly #replies = new Map<number, (payload: Uint8Array) => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sequence = 0;

  constructor(remotePublicKey: Uint8Array, presharedKey: Uint8Array, crypto: CryptoProvider) {
    const privateKey = systemRng.bytes(32);
    this.publicKey = publicKeyOf(privateKey);
    this.tunnel = new Tunnel({
      staticPrivateKey: privateKey,
      staticPublicKey: this.publicKey,
      remotePublicKey,
      presharedKey,
      index24: OUR_INDEX,
      crypto,
      rng: systemRng,
      now: monotonicNow(),
      wallClock: readWallClock(),
      timers: ICE_TIMERS,
      log: silentLog,
    });
    this.#socket.on("message", (message) => this.#receive(new Uint8Array(message)));
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.bind(OUR_PORT, "127.0.0.1", resolve));
  }

  /** Sends bytes that are not the tunnel's. */
  sendRaw(bytes: Uint8Array): void {
    this.#socket.send(bytes, THEIR_PORT, "127.0.0.1");
  }

  startHandshake(): void {
    this.tunnel.startHandshake(monotonicNow());
    this.#drain();
  }

  /** Sends an initiation, whether one was sent before or not. */
  initiate(): void {
    this.tunnel.repeatHandshake(monotonicNow());
    this.startHandshake();
  }

  /** Sends an echo request and resolves with the reply's payload; rejects when none comes. */
  async ping(source: IpAddress, destination: IpAddress, payload: Uint8Array): Promise<Uint8Array> {
    const sequence = ++this.#sequence;
    const reply = Promise.withResolvers<Uint8Array>();
    const timeout = setTimeout(() => reply.reject(new Error(`No reply to echo ${sequence}`)), PATIENCE_MS);
    this.#replies.set(sequence, reply.resolve);
    this.#send(buildEcho({ kind: "request", identifier: 77, sequence, payload, source, destination }));
    try {
      return await reply.promise;
    } finally {
      clearTimeout(timeout);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.tunnel.close();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #receive(message: Uint8Array): void {
    this.seen.push(messageType(message) ?? "unknown");
    const answer = this.tap(message);
    if (answer !== undefined) {
      this.#socket.send(answer, THEIR_PORT, "127.0.0.1");
      return;
    }
    const result = this.tunnel.decapsulate(message, this.#scratch, monotonicNow());
    if (result.type === "dropped") this.seen.push(`dropped ${result.reason}`);
    this.#drain();
    if (result.type === "packet") this.#handlePacket(result.packet.slice());
  }

  #handlePacket(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (!packet.ok) return;
    const echo = parseEcho(packet.value);
    if (echo?.kind === "reply") return this.#replies.get(echo.sequence)?.(echo.payload);
    if (echo?.kind !== "request") return;
    const { source, destination } = packet.value;
    this.#send(buildEcho({ ...echo, kind: "reply", source: destination, destination: source }));
  }

  #send(packet: Uint8Array): void {
    const length = this.tunnel.encapsulate(packet, this.#out, monotonicNow());
    if (length > 0) this.#socket.send(this.#out.slice(0, length), THEIR_PORT, "127.0.0.1");
    this.#drain();
  }

  #drain(): void {
    for (let message; (message = this.tunnel.pollTransmit()) !== undefined;) {
      const hasCookie = message[0] === INITIATION && message.subarray(-16).some((byte) => byte !== 0);
      if (hasCookie) this.withCookie++;
      this.#socket.send(message, THEIR_PORT, "127.0.0.1");
    }
    while (this.tunnel.pollEvent() !== undefined);
    clearTimeout(this.#timer);
    const wake = this.tunnel.pollTimeout();
    if (wake === undefined) return;
    this.#timer = setTimeout(() => {
      this.tunnel.handleTimeout(monotonicNow());
      this.#drain();
    }, Math.max(1, wake.at - monotonicNow()));
  }
}

/** Runs `body` with wireguard-go and our end set up for each other; `theyKnowUs`: wireguard-go has our endpoint. */
async function withPeers(
  theyKnowUs: boolean,
  body: (ours: OurEnd, theirPublicKey: Uint8Array) => Promise<void>,
  provider?: string,
): Promise<void> {
  await inLab(async () => {
    const theirPrivate = systemRng.bytes(32);
    const presharedKey = systemRng.bytes(32);
    const ours = new OurEnd(publicKeyOf(theirPrivate), presharedKey, await chooseProvider(provider));
    const daemon = new LabProcess(["wireguard-go", "-f", DEVICE], ["wireguard-go"], {
      path: toolPath(),
      env: { LOG_LEVEL: "verbose", WG_PROCESS_FOREGROUND: "1" },
    });
    try {
      await ours.open();
      await daemon.waitFor(/UAPI listener started/);
      const folder = await Deno.makeTempDir({ dir: "/run" });
      await Deno.writeTextFile(`${folder}/private`, toBase64(theirPrivate));
      await Deno.writeTextFile(`${folder}/psk`, toBase64(presharedKey));
      await mustRun([
        ...["wg", "set", DEVICE, "listen-port", `${THEIR_PORT}`, "private-key", `${folder}/private`],
        ...["peer", toBase64(ours.publicKey), "preshared-key", `${folder}/psk`],
        ...["allowed-ips", `${OURS_4}/32,${OURS_6}/128`],
        ...(theyKnowUs ? ["endpoint", `127.0.0.1:${OUR_PORT}`] : []),
      ]);
      await mustRun(["ip", "addr", "add", `${THEIRS_4}/24`, "dev", DEVICE]);
      await mustRun(["ip", "addr", "add", `${THEIRS_6}/64`, "dev", DEVICE, "nodad"]);
      await mustRun(["ip", "link", "set", DEVICE, "mtu", "1280", "up"]);
      await body(ours, publicKeyOf(theirPrivate));
    } catch (error) {
      console.log(daemon.describe(), ours.seen);
      throw error;
    } finally {
      await ours.close();
      await daemon.stop();
    }
  });
}

function payload(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index);
}

for (const provider of [undefined, "noble"]) {
  Deno.test(`Tunnel: initiates towards wireguard-go and carries packets both ways, ${provider ?? "native"} cipher`, () =>
    withPeers(false, async (ours) => {
      ours.startHandshake();
      await until(() => ours.tunnel.canSend(monotonicNow()));
      assert.equal(ours.tunnel.isInitiator, true);
      // wireguard-go pads to 16 bytes; lengths in between show that we cut it off again.
      for (const length of [0, 1, 7, 56, 100, 1000, 1220]) {
        assert.deepEqual(await ours.ping(OURS_4, THEIRS_4, payload(length)), payload(length));
        assert.deepEqual(await ours.ping(OURS_6, THEIRS_6, payload(length)), payload(length));
      }
      const theirs = await runTool(["ping", "-c", "3", "-i", "0.2", "-W", "30", "-s", "1252", `${OURS_4}`]);
      assert.equal(theirs.code, 0, theirs.stdout);
      assert.deepEqual(ours.seen.filter((kind) => kind.startsWith("dropped")), []);
      assert.match(await mustRun(["wg", "show", DEVICE, "latest-handshakes"]), /\t[1-9]\d+/);
    }, provider));
}

Deno.test("Tunnel: answers wireguard-go's initiation and carries packets both ways", () =>
  withPeers(true, async (ours) => {
    const theirs = await runTool(["ping", "-c", "3", "-i", "0.3", "-W", "30", `${OURS_4}`]);
    assert.equal(theirs.code, 0, theirs.stdout);
    assert.equal(ours.seen[0], "initiation");
    assert.equal(ours.tunnel.isInitiator, false);
    assert.deepEqual(await ours.ping(OURS_4, THEIRS_4, payload(33)), payload(33));
    assert.equal((await runTool(["ping", "-c", "1", "-W", "30", `${OURS_6}`])).code, 0);
    assert.deepEqual(ours.seen.filter((kind) => kind.startsWith("dropped")), []);
  }));

Deno.test("Tunnel: re-keys with wireguard-go while packets flow", () =>
  withPeers(true, async (ours) => {
    ours.startHandshake();
    await until(() => ours.tunnel.canSend(monotonicNow()));
    for (let round = 0; round < 5; round++) {
      const before = ours.tunnel.stats.lastHandshakeAt!;
      // wireguard-go ignores initiations that follow one another too closely.
      await sleep(60);
      ours.startHandshake();
      assert.deepEqual(await ours.ping(OURS_4, THEIRS_4, payload(round)), payload(round));
      await until(() => ours.tunnel.stats.lastHandshakeAt! > before);
      assert.deepEqual(await ours.ping(OURS_4, THEIRS_4, payload(round)), payload(round));
    }
    assert.deepEqual(ours.seen.filter((kind) => kind.startsWith("dropped")), []);
  }));

Deno.test("MessageChecker: has wireguard-go come back with the cookie it was given", () =>
  withPeers(true, async (ours) => {
    const checker = new MessageChecker(ours.publicKey, systemRng, monotonicNow());
    const source = IpAddress.from("127.0.0.1");
    const macs: string[] = [];
    ours.tap = (message) => {
      if (messageType(message) !== "initiation") return undefined;
      assert.equal(checker.isMac1Valid(message), true);
      const isCookieValid = checker.isMac2Valid(message, source, monotonicNow());
      macs.push(isCookieValid ? "cookie" : "none");
      return isCookieValid ? undefined : checker.cookieReply(message, source, monotonicNow());
    };
    // Its second initiation comes after five seconds.
    const theirs = await runTool(["ping", "-c", "1", "-W", "30", `${OURS_4}`]);
    assert.equal(theirs.code, 0, theirs.stdout);
    assert.deepEqual(macs, ["none", "cookie"]);
  }));

Deno.test("Tunnel: uses the cookie that wireguard-go asks for under load", () =>
  withPeers(false, async (ours, theirPublicKey) => {
    const signer = new MessageSigner(theirPublicKey, 0);
    // Of cookies only mac1 is right: enough to be queued, and to be asked for a cookie.
    const forged = () => {
      const message = systemRng.bytes(148);
      message.set([INITIATION, 0, 0, 0]);
      message.fill(0, 116);
      signer.sign(message, 0);
      return message;
    };
    let asked = 0;
    let ownAsked = 0;
    let answered = 0;
    ours.tap = (message) => {
      const isOwn = numberAt(message, message[0] === RESPONSE ? 8 : 4) >>> 8 === OUR_INDEX;
      if (message[0] === COOKIE_REPLY) isOwn ? ownAsked++ : asked++;
      if (message[0] === RESPONSE && isOwn) answered++;
      return undefined;
    };
    const isUnderLoad = async () => {
      const before = asked;
      ours.sendRaw(forged());
      return await comesToPass(() => asked > before, 300);
    };
    /**
     * Sends our initiation while wireguard-go is under load, as it is for a second after its queue was full. How much of
     * a flood reaches its queue at once is a matter of luck, and so is whether ours still finds room in the socket's
     * buffer: until `isMet`, and still under load, this begins anew.
     */
    const initiateUnderLoad = async (isMet: () => boolean) => {
      for (let round = 0; round < ROUNDS; round++) {
        answered = 0;
        for (let number = 0; number < FLOOD; number++) {
          ours.sendRaw(forged());
          if (number % 64 === 63) await sleep(1);
        }
        if (!await isUnderLoad()) continue;
        ours.initiate();
        if (await comesToPass(isMet, 1000) && await isUnderLoad()) return;
      }
      assert.fail(
        `not in ${ROUNDS} rounds: ${asked} forged ones were asked for a cookie, ${ownAsked} of ours`,
      );
    };

    await initiateUnderLoad(() => ownAsked > 0);
    const before = ours.withCookie;
    await initiateUnderLoad(() => answered > 0);
    assert.ok(ours.withCookie > before, "it had no cookie");
    await until(() => ours.tunnel.canSend(monotonicNow()));
    assert.deepEqual(await ours.ping(OURS_4, THEIRS_4, payload(9)), payload(9));
  }));

/** Returns the 32 bits at `offset`, little-endian. */
function numberAt(message: Uint8Array, offset: number): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(offset, true);
}

async function until(condition: () => boolean): Promise<void> {
  assert.ok(await comesToPass(condition, PATIENCE_MS), "it takes too long");
}

/** Returns whether `condition` holds within `limitMs`. */
async function comesToPass(condition: () => boolean, limitMs: number): Promise<boolean> {
  const end = monotonicNow() + limitMs;
  while (!condition()) {
    if (monotonicNow() > end) return false;
    await sleep(5);
  }
  return true;
}
