// What has come and waits for its one reader, and how much that is.

export interface Inbox<T> {
  put(item: T): void;
  end(): void;
  fail(error: Error): void;
  /** The writer has ended it. */
  readonly ended: boolean;
  read(): AsyncGenerator<T>;
  /** Resolves when less than so many bytes wait to be read, or nobody will read them. */
  roomFor(bytesMax: number): Promise<void>;
}

export function openInbox<T>(): Inbox<T> {
  const items: T[] = [];
  let bytes = 0;
  let ended = false;
  let failure: Error | undefined;
  let left = false;
  let wakeReader = () => {};
  let wakeWriter = () => {};
  const sizeOf = (item: T) => (item instanceof Uint8Array ? item.length : 0);
  return {
    put: (item) => {
      if (ended || left) return;
      items.push(item);
      bytes += sizeOf(item);
      wakeReader();
    },
    end: () => {
      ended = true;
      wakeReader();
    },
    fail: (error) => {
      if (!ended) failure ??= error;
      ended = true;
      wakeReader();
      wakeWriter();
    },
    get ended() {
      return ended;
    },
    async *read() {
      try {
        for (;;) {
          const item = items.shift();
          if (item !== undefined) {
            bytes -= sizeOf(item);
            wakeWriter();
            yield item;
          } else if (failure !== undefined) throw failure;
          else if (ended) return;
          else {
            await new Promise<void>((resolve) => {
              wakeReader = resolve;
            });
          }
        }
      } finally {
        left = true;
        items.length = 0;
        bytes = 0;
        wakeWriter();
      }
    },
    roomFor: async (bytesMax) => {
      while (bytes > bytesMax && failure === undefined && !left) {
        await new Promise<void>((resolve) => {
          wakeWriter = resolve;
        });
      }
    },
  };
}
