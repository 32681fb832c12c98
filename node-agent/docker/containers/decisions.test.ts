// What is decided of containers: restarts, health, names, states in words, files in /etc, keys that detach.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../lib/random.ts";
import { openDetachFilter, parseDetachKeys } from "./detach-keys.ts";
import { hostsFile, parseResolv, resolvFile } from "./etc-files.ts";
import { type HealthState, healthBegins, nextHealth, planHealth } from "./health.ts";
import { checkName, findByName, makeId, makeName } from "./names.ts";
import type { RestartPolicy } from "./record.ts";
import { decideRestart, type Ended, startsWithAgent } from "./restart-policy.ts";
import { humanDuration, timeText } from "./status-text.ts";
import { signalOf } from "./stop-container.ts";

const policy = (Name: RestartPolicy["Name"], MaximumRetryCount = 0): RestartPolicy => ({ Name, MaximumRetryCount });
const ended = (change: Partial<Ended> = {}): Ended => ({
  exitCode: 1,
  restartCount: 0,
  stoppedByUser: false,
  ranMs: 10,
  lastWaitMs: 0,
  ...change,
});

test("decideRestart follows the policy, and nobody's container that was stopped", () => {
  const restarts = (which: RestartPolicy, change: Partial<Ended> = {}) => decideRestart(which, ended(change)).restart;
  assert.deepEqual(
    [
      restarts(policy("no")),
      restarts(policy("always"), { exitCode: 0 }),
      restarts(policy("unless-stopped")),
      restarts(policy("always"), { stoppedByUser: true }),
      restarts(policy("on-failure"), { exitCode: 0 }),
      restarts(policy("on-failure"), { restartCount: 1000 }),
      restarts(policy("on-failure", 3), { restartCount: 2 }),
      restarts(policy("on-failure", 3), { restartCount: 3 }),
    ],
    [false, true, true, false, false, true, true, false],
  );
});

test("decideRestart waits twice as long each time, a minute at most, and anew after a good run", () => {
  const waits: number[] = [];
  for (let lastWaitMs = 0; waits.length < 12; lastWaitMs = waits.at(-1) ?? 0) {
    const decision = decideRestart(policy("always"), ended({ lastWaitMs }));
    waits.push(decision.restart ? decision.waitMs : -1);
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  assert.deepEqual(decideRestart(policy("always"), ended({ lastWaitMs: 60_000, ranMs: 10_001 })), {
    restart: true,
    waitMs: 100,
  });
});

test("startsWithAgent starts always what is to run always", () => {
  const stopped = { exitCode: 0, restartCount: 0, stoppedByUser: true };
  assert.deepEqual(
    [
      startsWithAgent(policy("always"), stopped),
      startsWithAgent(policy("unless-stopped"), stopped),
      startsWithAgent(policy("unless-stopped"), { ...stopped, stoppedByUser: false }),
      startsWithAgent(policy("on-failure"), { ...stopped, stoppedByUser: false }),
    ],
    [true, false, true, false],
  );
});

test("nextHealth counts failures in a row, not those of the start period", () => {
  const result = (ExitCode: number) => ({ Start: "", End: "", ExitCode, Output: "" });
  const run = (codes: readonly (readonly [number, boolean])[]) => {
    let state: HealthState = healthBegins;
    return codes.map(([code, starting]) => {
      state = nextHealth(state, result(code), { retries: 2, starting });
      return `${state.Status} ${state.FailingStreak}`;
    });
  };
  assert.deepEqual(
    run([
      [1, true],
      [1, true],
      [1, false],
      [1, false],
      [0, false],
      [1, false],
      [1, false],
    ]),
    ["starting 0", "starting 0", "starting 1", "unhealthy 2", "healthy 0", "healthy 1", "unhealthy 2"],
  );
  assert.deepEqual(
    run([
      [0, true],
      [1, true],
      [1, true],
    ]),
    ["healthy 0", "healthy 1", "unhealthy 2"],
  );
});

test("planHealth fills in Docker's defaults and knows when there is nothing to check", () => {
  const none = { Interval: 0, Timeout: 0, StartPeriod: 0, StartInterval: 0, Retries: 0 };
  assert.deepEqual(
    [
      planHealth(undefined),
      planHealth({ Test: ["NONE"], ...none }),
      planHealth({ Test: ["CMD-SHELL", "a b"], ...none }),
    ],
    [
      undefined,
      undefined,
      {
        args: ["/bin/sh", "-c", "a b"],
        intervalMs: 30_000,
        timeoutMs: 30_000,
        startPeriodMs: 0,
        startIntervalMs: 5000,
        retries: 3,
      },
    ],
  );
});

test("names are two words, checked, and found by id, name or the beginning of an id", () => {
  const random = seededRandom(7);
  assert.match(
    makeName(random, () => false),
    /^[a-z]+_[a-z]+$/,
  );
  assert.match(
    makeName(random, (name) => !/\d$/.test(name)),
    /^[a-z]+_[a-z]+\d+$/,
  );
  assert.match(makeId(random), /^[0-9a-f]{64}$/);
  const all = [
    { id: "abc1", name: "web" },
    { id: "abd2", name: "abc1-not" },
  ];
  const find = (text: string) => {
    try {
      return findByName(all, text, "container").name;
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.deepEqual(["web", "/web", "abc", "ab", "x", "abc1-not"].map(find), [
    "web",
    "web",
    "web",
    "multiple IDs found with provided prefix: ab",
    "No such container: x",
    "abc1-not",
  ]);
  assert.equal(checkName("/good.name-1"), "good.name-1");
  assert.throws(() => checkName("-bad"), /Invalid container name/);
});

test("humanDuration speaks as docker ps does", () => {
  const second = 1000;
  const spans = [
    0.5,
    1,
    59,
    60,
    119,
    120,
    3599,
    3600,
    5000,
    7200 * 10,
    86_400 * 3,
    86_400 * 20,
    86_400 * 90,
    86_400 * 800,
  ];
  assert.deepEqual(
    spans.map((seconds) => humanDuration(seconds * second)),
    [
      ...[
        "Less than a second",
        "1 second",
        "59 seconds",
        "About a minute",
        "About a minute",
        "2 minutes",
        "59 minutes",
      ],
      ...["About an hour", "About an hour", "20 hours", "3 days", "2 weeks", "3 months", "2 years"],
    ],
  );
  assert.deepEqual([timeText(0), timeText(1)], ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z"]);
});

test("signalOf refuses what is no signal", () => {
  assert.equal(signalOf("SIGRTMIN+3"), 37);
  assert.throws(() => signalOf("SIGNONE"), /invalid signal: SIGNONE/);
});

test("hostsFile and resolvFile say who is who and whom to ask", () => {
  const hosts = hostsFile({
    hostname: "box",
    domainname: "example.org",
    ips: ["10.0.0.2"],
    extraHosts: ["db:10.1.1.1", "gate=host-gateway", "six:[::2]"],
    hostGateway: "10.0.0.1",
  });
  assert.deepEqual(hosts.split("\n").slice(6), [
    "10.1.1.1\tdb",
    "10.0.0.1\tgate",
    "::2\tsix",
    "10.0.0.2\tbox.example.org box",
    "",
  ]);
  const text = "# note\nnameserver 127.0.0.53\nnameserver 10.0.0.53 ; here\nsearch a b\noptions ndots:2 edns0\n";
  assert.deepEqual(parseResolv(text), { servers: ["10.0.0.53"], search: ["a", "b"], options: ["ndots:2", "edns0"] });
  assert.equal(resolvFile({ servers: ["10.0.0.1"], search: ["."], options: [] }), "nameserver 10.0.0.1\n");
});

test("openDetachFilter finds the keys wherever what is typed is cut, and passes all else on", () => {
  const type = (keys: string, ...parts: readonly string[]) => {
    const filter = openDetachFilter(parseDetachKeys(keys));
    let passed = "";
    for (const part of parts) {
      const { pass, detach } = filter(Buffer.from(part));
      passed += pass.toString();
      if (detach) return `${JSON.stringify(passed)} detached`;
    }
    return JSON.stringify(passed);
  };
  assert.deepEqual(
    [
      type("", "ls\n\x10", "\x11more"),
      type("", "a\x10", "b\x10\x10", "\x11"),
      type("ctrl-a", "x\x01y"),
      type("q", "abc"),
    ],
    ['"ls\\n" detached', '"a\\u0010b\\u0010" detached', '"x" detached', '"abc"'],
  );
  assert.throws(() => parseDetachKeys("ctrl-1"), /invalid detach keys/);
});
