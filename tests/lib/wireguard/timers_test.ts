import assert from "node:assert/strict";
import { seconds } from "../../../lib/base/time.ts";
import { ICE_TIMERS, TimerState } from "../../../lib/wireguard/timers.ts";

Deno.test("ICE_TIMERS are upstream's: whitepaper section 6.1 with a shorter patience", () => {
  assert.deepEqual(ICE_TIMERS, {
    rekeyAfterTime: 120_000,
    rekeyOnReceiveAfter: 180_000 - 10_000 - 5_000,
    initiatorStopsSendingAfter: 170_000,
    rejectAfterTime: 180_000,
    rekeyTimeout: 5_000,
    rekeyJitter: 333,
    rekeyAttemptTime: 20_000,
    keepaliveTimeout: 10_000,
    newHandshakeAfter: 10_000 + 5_000,
    cookieLifetime: 120_000,
    forgetAfter: 3 * 180_000,
  });
});

Deno.test("TimerState.nextAt is the first moment at which something is due", () => {
  const timers = new TimerState(ICE_TIMERS, 0);
  assert.equal(timers.nextAt(), seconds(540));
  assert.equal(timers.due(seconds(540) - 1), undefined);
  assert.equal(timers.due(seconds(540)), "expire");

  timers.initiationSent(seconds(1), 100);
  assert.equal(timers.nextAt(), seconds(6) + 100);
  assert.equal(timers.nextReason(), "retransmit");
  assert.equal(timers.due(seconds(6) + 99), undefined);
  assert.equal(timers.due(seconds(6) + 100), "retransmit");
  assert.equal(timers.due(seconds(21)), "expire");

  timers.sessionEstablished(seconds(7), true);
  timers.dataReceived(seconds(8));
  assert.equal(timers.nextReason(), "keepalive");
  assert.equal(timers.nextAt(), seconds(18));
  timers.dataSent(seconds(9));
  assert.equal(timers.nextReason(), "handshake");
  assert.equal(timers.nextAt(), seconds(24));
  timers.received();
  assert.equal(timers.nextAt(), seconds(127));
  timers.expired();
  assert.equal(timers.nextAt(), Infinity);
});
