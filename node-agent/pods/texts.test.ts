// Small pure parts: $(NAME), names of hosts, resolv.conf, credentials, back-off, signals, options.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLabels, parseTaints } from "../agent-options.ts";
import { expand } from "./expand.ts";
import { hostNames, hostsFile, podHostname, resolvConf } from "./hostname.ts";
import { pullCredentials } from "./pull-secrets.ts";
import { qosClass } from "./resource-limits.ts";
import { nextBackoff, restartAtMs } from "./restart-backoff.ts";
import { onlyUser } from "./security.ts";

const expansions: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["$(A)", "1"],
  ["$(A)$(B)", "1$(B)"],
  ["$$(A)", "$(A)"],
  ["$$$(A)", "$1"],
  ["$(A", "$(A"],
  ["cost $5 $", "cost $5 $"],
];

for (const [text, expected] of expansions) {
  test(`expand makes ${JSON.stringify(expected)} of ${JSON.stringify(text)}`, () => {
    assert.equal(
      expand(text, (name) => (name === "A" ? "1" : undefined)),
      expected,
    );
  });
}

test("podHostname takes the pod's name, cut to 63 characters", () => {
  const name = `${"a".repeat(62)}-b`;
  assert.deepEqual(
    [podHostname({ metadata: { name: "web" } }, "n1"), podHostname({ metadata: { name } }, "n1").length],
    ["web", 62],
  );
});

test("hostsFile names the pod and its aliases", () => {
  const pod = { spec: { containers: [], hostAliases: [{ ip: "10.0.0.9", hostnames: ["db", "cache"] }] } };
  const names = { hostname: "web", domainName: "web.sub.shop.svc.cluster.local", ips: ["10.244.1.2"] };
  const text = hostsFile(pod, names, "");
  assert.deepEqual(text.split("\n").slice(-6), [
    "fe00::2\tip6-allrouters",
    "10.244.1.2\tweb.sub.shop.svc.cluster.local\tweb",
    "",
    "# Entries added by HostAliases.",
    "10.0.0.9\tdb\tcache",
    "",
  ]);
});

test("hostsFile gives the node's own names to a pod in its network", () => {
  const pod = { spec: { containers: [], hostNetwork: true } };
  const text = hostsFile(
    pod,
    { hostname: "n1", domainName: undefined, ips: ["192.0.2.1"] },
    "127.0.0.1 localhost n1\n",
  );
  assert.equal(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost n1\n");
});

const node = { nodeName: "n1", clusterDomain: "cluster.local" };

test("hostNames spells the name out for setHostnameAsFQDN, and refuses what the kernel does not take", () => {
  const named = (subdomain: string) =>
    hostNames(
      {
        metadata: { name: "web", namespace: "shop" },
        spec: { containers: [], hostname: "w", subdomain, setHostnameAsFQDN: true },
      },
      node,
    );
  const fqdn = "w.db.shop.svc.cluster.local";
  assert.deepEqual(named("db"), { hostname: "w", domainName: fqdn, kernelName: fqdn });
  assert.throws(() => named("d".repeat(60)), /setHostnameAsFQDN: .* has 85 characters, a hostname may have 64$/);
});

test("resolvConf adds what dnsConfig says to what the policy gives", () => {
  const cluster = "search shop.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";
  const spec = {
    containers: [],
    dnsConfig: { searches: ["example.org"], options: [{ name: "ndots", value: "2" }] },
  };
  assert.deepEqual(
    [
      resolvConf({ spec }, cluster, "nameserver 9.9.9.9\n"),
      resolvConf({ spec: { containers: [], dnsPolicy: "Default" } }, cluster, "nameserver 9.9.9.9\n"),
    ],
    ["nameserver 10.96.0.10\nsearch shop.svc.cluster.local example.org\noptions ndots:2\n", "nameserver 9.9.9.9\n"],
  );
});

test("pullCredentials finds those for a repository, the most specific first", () => {
  const auths = {
    "https://index.docker.io/v1/": { auth: Buffer.from("hub:pw:with:colons").toString("base64") },
    "registry.local:5000": { username: "all", password: "p" },
    "registry.local:5000/team": { username: "team", password: "p" },
    "*.example.org": { username: "star", password: "p" },
    broken: { auth: 5 },
  };
  const secret = { data: { ".dockerconfigjson": Buffer.from(JSON.stringify({ auths })).toString("base64") } };
  const users = (repository: string) => pullCredentials([secret], repository).map(({ username }) => username);
  assert.deepEqual(
    [
      "docker.io/library/nginx",
      "registry.local:5000/team/web",
      "registry.local:5000/teamster",
      "a.example.org/x",
      "quay.io/x",
    ].map(users),
    [["hub"], ["team", "all"], ["all"], ["star"], []],
  );
});

test("pullCredentials leaves out what cannot be read", () => {
  const data = { ".dockerconfigjson": Buffer.from("{not json").toString("base64") };
  assert.deepEqual(pullCredentials([{ data }], "docker.io/library/nginx"), []);
});

test("restartAtMs waits longer after each crash and forgets after ten quiet minutes", () => {
  let backoff: ReturnType<typeof nextBackoff> | undefined;
  let atMs = 0;
  const waits: number[] = [];
  for (let crash = 0; crash < 8; crash++) {
    const restartMs = restartAtMs(backoff, atMs);
    waits.push((restartMs - atMs) / 1000);
    backoff = nextBackoff(backoff, atMs);
    atMs = restartMs + 1000;
  }
  waits.push((restartAtMs(backoff, atMs + 700_000) - atMs - 700_000) / 1000);
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300, 0]);
});

test("qosClass follows requests and limits", () => {
  const of = (resources: object) => qosClass({ spec: { containers: [{ name: "a", resources }] } });
  assert.deepEqual(
    [of({}), of({ requests: { cpu: "1" } }), of({ limits: { cpu: "1", memory: "1Gi" } })],
    ["BestEffort", "Burstable", "Guaranteed"],
  );
});

test("parseTaints and parseLabels say what is wrong", () => {
  assert.deepEqual(parseLabels(["disk=ssd", "empty="]), { disk: "ssd", empty: "" });
  assert.deepEqual(parseTaints(["gpu=yes:NoSchedule", "gpu:NoExecute"]), [
    { key: "gpu", value: "yes", effect: "NoSchedule" },
    { key: "gpu", effect: "NoExecute" },
  ]);
  assert.throws(() => parseTaints(["gpu=yes:Sometimes"]), /must look like key=value:NoSchedule/);
  assert.throws(() => parseLabels(["disk"]), /must look like key=value/);
});

test("a user is a pod's when all containers say the same onlyUser", () => {
  const user = (runAsUser?: number) => (runAsUser === undefined ? {} : { securityContext: { runAsUser } });
  const of = (forPod: number | undefined, ...own: readonly (number | undefined)[]) =>
    onlyUser({ spec: { ...user(forPod), containers: own.map((uid, i) => ({ name: `c${i}`, ...user(uid) })) } });
  assert.deepEqual(
    [of(5, undefined, undefined), of(undefined, 7, 7), of(5, undefined, 7), of(undefined, 7, undefined), of(undefined)],
    [5, 7, undefined, undefined, undefined],
  );
});
