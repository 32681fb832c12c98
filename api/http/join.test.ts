// Who is kept from guessing join tokens, and who is not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualClock } from "../../lib/virtual-clock.ts";
import { FailureLimiter } from "./join.ts";

test("FailureLimiter stops an address that fails too often, for a minute, and no other", async () => {
  const clock = virtualClock();
  const limiter = new FailureLimiter(clock);
  const isStopped = (address: string) => {
    try {
      limiter.check(address);
      return false;
    } catch (error) {
      assert.equal((error as { readonly reason?: unknown }).reason, "TooManyRequests");
      return true;
    }
  };
  for (let i = 0; i < 19; i++) limiter.failed("192.0.2.1");
  const before = isStopped("192.0.2.1");
  limiter.failed("192.0.2.1");
  const after = [isStopped("192.0.2.1"), isStopped("192.0.2.2")];
  for (let i = 0; i < 1000; i++) limiter.failed(`2001:db8::${i.toString(16)}`);
  const forgotten = isStopped("192.0.2.1");
  for (let i = 0; i < 20; i++) limiter.failed("192.0.2.1");
  await clock.advance(60_000);
  assert.deepEqual([before, after, forgotten, isStopped("192.0.2.1")], [false, [true, false], false, false]);
});
