import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetworkUse } from "./network-use.ts";

const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:    1156      14    1    2    0     0          0         0     1066      13    3    4    0     0       0          0
`;

test("parseNetworkUse reads an interface's line", () => {
  assert.deepEqual(
    [parseNetworkUse(table, "eth0"), parseNetworkUse(table, "eth1"), parseNetworkUse("", "eth0")],
    [
      {
        receivedBytes: 1156,
        receivedPackets: 14,
        receivedErrors: 1,
        receivedDropped: 2,
        sentBytes: 1066,
        sentPackets: 13,
        sentErrors: 3,
        sentDropped: 4,
      },
      undefined,
      undefined,
    ],
  );
});
