// Work that comes again and again, never twice at a time.
import type { Clock, Timer } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { messageOf } from "./pods/start-problem.ts";

/** First after one period, then a period after it was done; a failure is logged. */
export function every(clock: Clock, periodMs: number, run: () => Promise<void>, log: Logger): Disposable {
  let timer: Timer | undefined;
  let ended = false;
  const again = () => {
    timer = clock.after(periodMs, () => {
      run()
        .catch((error) => log.warn({ error: messageOf(error) }, "periodic work failed"))
        .finally(() => ended || again());
    });
  };
  again();
  return {
    [Symbol.dispose]: () => {
      ended = true;
      timer?.cancel();
    },
  };
}
