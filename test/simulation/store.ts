// The simulated cluster's store: durable memory behind a disk that can be slow or down, watched by the simulator.
import { MemoryStore } from "../../api/store/memory.ts";
import { type CommitResult, type Store, StoreUnavailableError, type Transaction } from "../../api/store/store.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import { fraction, type Random } from "../../lib/random.ts";

/** How the disk does at present. */
export interface DiskWeather {
  readonly delayMsMax: number;
  /** Share of commits that fail; half of those have happened all the same. */
  readonly failing: number;
}

export const fairDisk: DiskWeather = { delayMsMax: 2, failing: 0 };

export interface DiskOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => DiskWeather;
  /** Told of each transaction in the instant in which it happens. */
  readonly onCommit: (transaction: Transaction, revision: number) => void;
}

export function openDisk({ clock, random, weather, onCommit }: DiskOptions): Store {
  const memory = new MemoryStore({ clock });
  // The way there, and the way back: a crash in between leaves a commit that nobody was told of.
  const wait = () => sleep(clock, fraction(random) * weather().delayMsMax);

  const commit = async (transaction: Transaction): Promise<CommitResult> => {
    await wait();
    const fails = fraction(random) < weather().failing;
    if (fails && fraction(random) < 0.5) throw new StoreUnavailableError("the simulated disk is down");
    const result = await memory.commit(transaction);
    if (result.committed) onCommit(transaction, result.revision);
    if (fails) throw new StoreUnavailableError("the simulated disk went down", { outcomeUnknown: true });
    await wait();
    return result;
  };

  return {
    commit,
    range: async (request) => {
      await wait();
      if (fraction(random) < weather().failing) throw new StoreUnavailableError("the simulated disk is down");
      return memory.range(request);
    },
    watch: (prefix, afterRevision, signal) => memory.watch(prefix, afterRevision, signal),
    compact: (revision) => memory.compact(revision),
    grantLease: (ttlMs) => memory.grantLease(ttlMs),
    renewLease: (lease) => memory.renewLease(lease),
    revokeLease: (lease) => memory.revokeLease(lease),
    [Symbol.asyncDispose]: () => memory[Symbol.asyncDispose](),
  };
}
