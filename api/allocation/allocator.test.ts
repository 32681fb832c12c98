import assert from "node:assert/strict";
import { test } from "node:test";
import { inProcessClient } from "../../client/in-process.ts";
import { realClock } from "../../lib/clock.ts";
import { silentLogger } from "../../lib/log.ts";
import { seededRandom } from "../../lib/random.ts";
import { componentUser } from "../authentication/user.ts";
import { services } from "../kinds/generated/resources.ts";
import type { Service } from "../kinds/generated/types.ts";
import { openApi } from "../server.ts";
import { MemoryStore } from "../store/memory.ts";

const ranges = { clusterIpPrefix: "10.96", nodePortFirst: 30000, nodePortLast: 30011 };

const service = (name: string): Service => ({
  metadata: { name, namespace: "default" },
  spec: { type: "NodePort", ports: [{ port: 80 }] },
});

test("two servers that allocate from one store never give out the same port", async () => {
  await using store = new MemoryStore({ clock: realClock });
  const open = (seed: number) =>
    openApi({ store, clock: realClock, random: seededRandom(seed), log: silentLogger, sharedStore: true, ranges });
  // The same seed makes both choose alike, so that they would meet on every port.
  await using first = await open(7);
  await using second = await open(7);
  const clients = [first, second].map(({ verbs }) => inProcessClient({ verbs, user: componentUser("test") }));
  const made = await Promise.all(
    Array.from({ length: 12 }, (_, i) => clients[i % 2]?.create(services, service(`s${i}`))),
  );
  const ports = made.map((object) => object?.spec?.ports?.[0]?.nodePort).sort();
  assert.deepEqual(
    ports,
    Array.from({ length: 12 }, (_, i) => 30000 + i),
  );
  await assert.rejects(Promise.resolve(clients[0]?.create(services, service("more"))), /no node port is free/);
  await clients[1]?.delete(services, { namespace: "default", name: "s3" });
  await clients[0]?.create(services, service("more"));
});

test("an address that is taken is refused by its Service's name and its place", async () => {
  await using store = new MemoryStore({ clock: realClock });
  const shared = { store, clock: realClock, log: silentLogger };
  await using api = await openApi({ ...shared, random: seededRandom(7), ranges });
  const client = inProcessClient({ verbs: api.verbs, user: componentUser("test") });
  const withPort = (name: string, nodePort: number): Service => ({
    metadata: { name, namespace: "default" },
    spec: {
      type: "NodePort",
      ports: [
        { name: "a", port: 80 },
        { name: "b", port: 81, nodePort },
      ],
    },
  });
  const { spec } = await client.create(services, withPort("first", 30003));
  const refusal = async (service: Service) =>
    client.create(services, service).then(
      () => assert.fail("it was accepted"),
      (error: Error) => error.message,
    );
  const { clusterIP = "" } = spec ?? {};
  assert.deepEqual(
    [
      await refusal(withPort("second", 30003)),
      await refusal(withPort("second", 80)),
      await refusal({ metadata: { name: "third", namespace: "default" }, spec: { clusterIP, ports: [{ port: 80 }] } }),
    ],
    [
      'Service "second" is invalid: spec.ports[1].nodePort: Invalid value: 30003: provided port is already allocated',
      'Service "second" is invalid: spec.ports[1].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30011',
      `Service "third" is invalid: spec.clusterIPs: Invalid value: ${JSON.stringify(clusterIP)}: provided IP is already allocated`,
    ],
  );
});
