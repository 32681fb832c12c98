// How fast the stores are: commits per second with many in flight, and how long one alone takes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEtcdStore } from "../api/store/etcd.ts";
import { openSqliteStore } from "../api/store/sqlite.ts";
import type { Store } from "../api/store/store.ts";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { realRandom } from "../lib/random.ts";
import { startEtcd } from "../test/etcd-server.ts";
import { type Result, summarize, summarizeRates } from "./result.ts";

const valueBytes = 1000;
const inFlight = 256;
const rounds = 7;
const options = { clock: realClock, random: realRandom(), log: silentLogger };

/** store-<kind>-commit (ms, one at a time) and store-<kind>-rate (commits per second, 256 in flight; p99 is the slowest round). */
export async function benchStore(): Promise<readonly Result[]> {
  return [...(await benchSqlite()), ...(await benchEtcd())];
}

async function benchSqlite(): Promise<readonly Result[]> {
  const directory = mkdtempSync(join(tmpdir(), `naru-bench-${process.pid}-`));
  try {
    await using store = await openSqliteStore({ ...options, path: join(directory, "store.db") });
    return await measure("sqlite", store, 10_000);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function benchEtcd(): Promise<readonly Result[]> {
  await using server = await startEtcd();
  await using store = await openEtcdStore({ ...options, hosts: [server.host] });
  return await measure("etcd", store, 2000);
}

async function measure(name: string, store: Store, perRound: number): Promise<readonly Result[]> {
  const value = new Uint8Array(valueBytes).fill(120);
  let count = 0;
  const commitOne = async () => {
    const key = `/registry/core/pods/bench/${String(count++ % 20_000)}`;
    await store.commit({ compares: [], operations: [{ type: "put", key, value }] });
  };
  const rates: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const before = performance.now();
    let left = perRound;
    const writer = async () => {
      while (left-- > 0) await commitOne();
    };
    await Promise.all(Array.from({ length: inFlight }, writer));
    // The first warms everything up.
    if (round > 0) rates.push((perRound * 1000) / (performance.now() - before));
  }
  const times: number[] = [];
  for (let i = 0; i < 300; i++) {
    const before = performance.now();
    await commitOne();
    times.push(performance.now() - before);
  }
  return [summarize(`store-${name}-commit`, "ms", times), summarizeRates(`store-${name}-rate`, rates)];
}
