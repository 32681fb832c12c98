// What files become pods of the node, and how the API's mirrors of them are known.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../api/kinds/generated/types.ts";
import { mirrored } from "../api/kinds/mirror-pod.ts";
import { realClock } from "../lib/clock.ts";
import { silentLogger } from "../lib/log.ts";
import { parseStaticPods } from "./static-pod-file.ts";
import { isStatic, mirrorOf, openStaticPods } from "./static-pods.ts";

const file = (image: string) => `apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec: { containers: [{ name: web, image: "${image}" }] }
`;
const where = { path: "/m/web.yaml", nodeName: "n1" };

test("parseStaticPods names pods after their node and tells a change by the uid", () => {
  const [pod] = parseStaticPods(file("a:1"), where);
  const [again] = parseStaticPods(file("a:1"), where);
  const [changed] = parseStaticPods(file("a:2"), where);
  const { name, namespace, labels } = pod?.metadata ?? {};
  assert.deepEqual(
    [name, namespace, labels, pod?.spec?.nodeName, pod?.spec?.tolerations, pod?.spec?.restartPolicy],
    ["web-n1", "default", { app: "web" }, "n1", [{ operator: "Exists", effect: "NoExecute" }], "Always"],
  );
  assert.deepEqual(
    [again?.metadata?.uid === pod?.metadata?.uid, changed?.metadata?.uid === pod?.metadata?.uid],
    [true, false],
  );
});

test("parseStaticPods names file and field of what is wrong", () => {
  const errors = ["a: [", "kind: Service", file("")].map((text) => {
    try {
      return parseStaticPods(text, where);
    } catch (error) {
      return String(error).split("\n")[0];
    }
  });
  assert.match(String(errors[0]), /^Error: \/m\/web\.yaml: /);
  assert.deepEqual(errors.slice(1), [
    "Error: /m/web.yaml: must hold Pods of v1 with names",
    "Error: /m/web.yaml: spec.containers[0].image: Required value",
  ]);
});

test("parseStaticPods gives a pod the API's defaults, refuses what it would refuse, and tells of what has no effect", () => {
  const warnings: string[] = [];
  const parse = (more: string) =>
    parseStaticPods(`${file("a:1")}${more}`, { ...where, warn: (message) => warnings.push(message) });
  const text = file("a:1").replace("spec: {", "spec: { imaginary: 1, os: { name: windows },");
  const [pod] = parseStaticPods(text, { ...where, warn: (message) => warnings.push(message) });
  const { terminationMessagePath, imagePullPolicy } = pod?.spec?.containers[0] ?? {};
  const wrong = [
    file("a:1").replace("containers:", "hostNetwork: perhaps, containers:"),
    file("a:1").replace("containers:", "ephemeralContainers: [{ name: e, image: i }], containers:"),
    file("a:1").replace("containers:", 'runtimeClassName: "No_Name", containers:'),
  ].map((bad) => {
    try {
      return String(parseStaticPods(bad, where));
    } catch (error) {
      return String(error).split(":").slice(0, 3).join(":");
    }
  });
  assert.deepEqual(
    { count: parse("").length, spec: pod?.spec?.dnsPolicy, terminationMessagePath, imagePullPolicy, warnings, wrong },
    {
      count: 1,
      spec: "ClusterFirst",
      terminationMessagePath: "/dev/termination-log",
      imagePullPolicy: "IfNotPresent",
      warnings: ['unknown field "spec.imaginary"', 'field "spec.os.name" is accepted but has no effect yet'],
      wrong: [
        "Error: /m/web.yaml: spec.hostNetwork",
        "Error: /m/web.yaml: spec.ephemeralContainers",
        "Error: /m/web.yaml: spec.runtimeClassName",
      ],
    },
  );
});

test("mirrorOf gives what the API shows, and mirrored whose it is", () => {
  const [pod] = parseStaticPods(file("a:1"), where);
  assert(pod !== undefined);
  const mirror = mirrorOf(pod);
  assert.deepEqual(
    [mirror.metadata?.uid, mirrored(mirror), mirrored(pod), isStatic(pod), isStatic(mirror)],
    [undefined, pod.metadata?.uid, undefined, true, false],
  );
});

test("openStaticPods follows the folder's files", async () => {
  const dir = mkdtempSync(join(tmpdir(), `naru-static-${process.pid}-`));
  const heard: (readonly (string | undefined)[])[] = [];
  let wake = () => {};
  const onPods = (pods: readonly Pod[]) => {
    heard.push(pods.map(({ metadata }) => metadata?.name));
    wake();
  };
  const change = async (make: () => void) => {
    const next = new Promise<void>((resolve) => {
      wake = resolve;
    });
    make();
    await next;
  };
  const options = { dir, nodeName: "n1", clock: realClock, log: silentLogger, onPods };
  const watching = await openStaticPods(options);
  try {
    await change(() => writeFileSync(join(dir, "web.yaml"), file("a:1")));
    await change(() => {
      writeFileSync(join(dir, "broken.yaml"), "a: [");
      writeFileSync(join(dir, "db.json"), JSON.stringify({ ...mirrorless, metadata: { name: "db" } }));
    });
    await change(() => rmSync(join(dir, "web.yaml")));
    assert.deepEqual(heard, [[], ["web-n1"], ["db-n1", "web-n1"], ["db-n1"]]);
  } finally {
    watching[Symbol.dispose]();
    rmSync(dir, { recursive: true });
  }
});

const mirrorless = { apiVersion: "v1", kind: "Pod", spec: { containers: [{ name: "c", image: "i" }] } };
