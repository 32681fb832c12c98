// Two things at a time, of which each leaves something behind: whoever cleans up must know that both have ended.

/** Resolves with both; rejects when one has failed, but not before the other has ended too. */
export async function allSettled<A, B>(a: Promise<A>, b: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([a, b]);
  return [await a, await b];
}
