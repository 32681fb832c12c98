import assert from "node:assert/strict";
import { test } from "node:test";
import { componentUser } from "../api/authentication/user.ts";
import { leases } from "../api/kinds/generated/resources.ts";
import { ApiError } from "../api/kinds/status.ts";
import { silentLogger } from "../lib/log.ts";
import { below, seededRandom } from "../lib/random.ts";
import { virtualClock } from "../lib/virtual-clock.ts";
import { openTestApi } from "../test/api.ts";
import type { Client } from "./client.ts";
import { inProcessClient } from "./in-process.ts";
import { electLeader } from "./leader-election.ts";

const leaseMs = 15_000;

async function setUp() {
  const opened = await openTestApi();
  const client = inProcessClient({ verbs: opened.api.verbs, user: componentUser("test") });
  const clock = virtualClock();
  const leading = new Map<string, number>();
  const terms: string[] = [];
  const stops: (() => Promise<void>)[] = [];
  let doubled = 0;
  const join = (identity: string, through: Client = client) => {
    const stop = new AbortController();
    const options = { client: through, lease: "test", identity, clock, log: silentLogger, leaseMs };
    const lead = async (term: number, signal: AbortSignal) => {
      if (leading.size > 0) doubled++;
      leading.set(identity, term);
      terms.push(`${identity} ${term}`);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      leading.delete(identity);
    };
    const electing = electLeader({ ...options, lead }, stop.signal);
    const leave = async () => {
      stop.abort(new Error("leaves"));
      // A release that hangs is given up after a while.
      await clock.advance(leaseMs);
      await electing;
    };
    stops.push(leave);
    return leave;
  };
  const close = async () => {
    for (const stop of stops) await stop();
    await opened[Symbol.asyncDispose]();
  };
  return { client, clock, join, leading, terms, doubled: () => doubled, [Symbol.asyncDispose]: close };
}

/** A client that can be cut off: calls fail, or hang for ever. */
function cuttable(client: Client) {
  const cut: { mode: "no" | "fails" | "hangs" } = { mode: "no" };
  const pass =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      if (cut.mode === "fails") throw new ApiError("ServiceUnavailable", "cut off");
      if (cut.mode === "hangs") return new Promise<R>(() => {});
      return call(...given);
    };
  const through = {
    ...client,
    get: pass(client.get),
    create: pass(client.create),
    update: pass(client.update),
  } as Client;
  return { cut, client: through };
}

test("electLeader lets one lead, and the next at once when the Lease is given back", async () => {
  await using set = await setUp();
  const leaveA = set.join("a");
  await set.clock.advance(1000);
  set.join("b");
  await set.clock.advance(60_000);
  const before = [...set.leading.keys()];
  await leaveA();
  assert.deepEqual([before, [...set.leading], set.terms, set.doubled()], [["a"], [["b", 2]], ["a 1", "b 2"], 0]);
  const lease = await set.client.get(leases, { namespace: "kube-system", name: "test" });
  assert.deepEqual([lease.spec?.holderIdentity, lease.spec?.leaseTransitions], ["b", 2]);
});

for (const mode of ["fails", "hangs"] as const) {
  test(`electLeader stops leading before another may begin when its connection ${mode}`, async () => {
    await using set = await setUp();
    const a = cuttable(set.client);
    set.join("a", a.client);
    await set.clock.advance(1000);
    set.join("b");
    await set.clock.advance(10_000);
    a.cut.mode = mode;
    // What runs on its last renewal must be over after two thirds of the lease.
    await set.clock.advance((leaseMs * 2) / 3);
    const between = [...set.leading.keys()];
    await set.clock.advance(leaseMs * 2);
    assert.deepEqual([between, [...set.leading], set.doubled()], [[], [["b", 2]], 0]);
    a.cut.mode = "no";
  });
}

test("electLeader never has two leaders, whatever is cut off when", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    await using set = await setUp();
    const random = seededRandom(seed);
    const candidates = ["a", "b", "c"].map((identity) => {
      const candidate = cuttable(set.client);
      set.join(identity, candidate.client);
      return candidate;
    });
    for (let step = 0; step < 40; step++) {
      const candidate = candidates[below(random, 3)];
      if (candidate !== undefined)
        candidate.cut.mode = (["no", "no", "fails", "hangs"] as const)[below(random, 4)] ?? "no";
      await set.clock.advance(below(random, leaseMs));
    }
    const terms = set.terms.map((line) => Number(line.split(" ")[1]));
    assert.deepEqual([set.doubled(), terms], [0, [...new Set(terms)].sort((x, y) => x - y)], `seed ${seed}`);
  }
});
