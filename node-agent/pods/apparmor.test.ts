// Which AppArmor profile a container gets, and which pods a node refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AppArmorProfile, Pod } from "../../api/kinds/generated/types.ts";
import { type AppArmor, noAppArmor } from "../runtime/apparmor.ts";
import { appArmorProfile, appArmorRefusal } from "./apparmor.ts";

const whole: AppArmor = { enabled: true, defaultProfile: "naru-default", problem: undefined };
const noParser = { enabled: true, defaultProfile: undefined, problem: "apparmor_parser is not here" };
const local: AppArmorProfile = { type: "Localhost", localhostProfile: "mine" };

function podOf(profile?: AppArmorProfile, privileged = false, annotation?: string): Pod {
  const annotations =
    annotation === undefined ? {} : { "container.apparmor.security.beta.kubernetes.io/c": annotation };
  const securityContext = { privileged, ...(profile === undefined ? {} : { appArmorProfile: profile }) };
  return { metadata: { annotations }, spec: { containers: [{ name: "c", image: "i", securityContext }] } };
}

test("appArmorRefusal rejects what the node cannot enforce, in the kubelet's words", () => {
  const pods = [podOf(), podOf({ type: "Unconfined" }), podOf({ type: "RuntimeDefault" }), podOf(local)];
  const off = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
  assert.deepEqual(
    [noAppArmor, noParser, whole].map((node) => pods.map((pod) => appArmorRefusal(pod, node))),
    [
      [undefined, undefined, off, off],
      [undefined, undefined, "Cannot enforce AppArmor: apparmor_parser is not here", undefined],
      [undefined, undefined, undefined, undefined],
    ],
  );
});

test("appArmorProfile gives the container's own, then the annotation's, then the pod's, then the default", () => {
  const forPod: Pod = {
    ...podOf(),
    spec: { securityContext: { appArmorProfile: local }, containers: [{ name: "c", image: "i" }] },
  };
  const of = (pod: Pod, node = whole) => {
    const [container] = pod.spec?.containers ?? [];
    return container === undefined ? undefined : appArmorProfile(pod, container, node);
  };
  assert.deepEqual(
    [
      of(podOf()),
      of(podOf(undefined, true)),
      of(podOf({ type: "RuntimeDefault" }, true)),
      of(podOf({ type: "Unconfined" })),
      of(podOf(local)),
      of(podOf(undefined, false, "localhost/other")),
      of(podOf(local, false, "localhost/other")),
      of(forPod),
      of(podOf(local), noAppArmor),
    ],
    ["naru-default", undefined, "naru-default", undefined, "mine", "other", "mine", "mine", undefined],
  );
});
