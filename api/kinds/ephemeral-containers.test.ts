// What may be added to a running pod, and what not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ephemeralContainersPart } from "./ephemeral-containers.ts";
import type { EphemeralContainer, Pod } from "./generated/types.ts";

const had: EphemeralContainer = { name: "had", image: "i" };
const live: Pod = {
  metadata: { name: "p" },
  spec: { containers: [{ name: "a", image: "i" }], volumes: [{ name: "v", emptyDir: {} }], ephemeralContainers: [had] },
};
const withThese = (...ephemeralContainers: readonly EphemeralContainer[]): Pod => ({
  ...live,
  spec: { containers: [], ...live.spec, ephemeralContainers },
});

const cases: readonly (readonly [string, Pod, readonly string[]])[] = [
  ["one more", withThese(had, { name: "b", image: "i", targetContainerName: "a" }), []],
  [
    "the removal of one",
    withThese({ name: "b", image: "i" }),
    ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "had" may not be removed'],
  ],
  [
    "a change of one",
    withThese({ ...had, image: "j" }),
    ['spec.ephemeralContainers[0]: Forbidden: existing ephemeral containers "had" may not be changed'],
  ],
  [
    "the name of another container",
    withThese(had, { name: "a", image: "i" }),
    ['spec.ephemeralContainers[1].name: Duplicate value: "a"'],
  ],
  [
    "a target that does not exist",
    withThese(had, { name: "b", image: "i", targetContainerName: "z" }),
    ['spec.ephemeralContainers[1].targetContainerName: Not found: "z"'],
  ],
  [
    "what belongs to containers that stay",
    withThese(had, {
      name: "b",
      image: "i",
      ports: [{ containerPort: 80 }],
      resources: { limits: { cpu: "1" } },
      volumeMounts: [{ name: "v", mountPath: "/v", subPath: "x" }],
    }),
    ["ports", "resources", "volumeMounts[0].subPath"].map(
      (field) => `spec.ephemeralContainers[1].${field}: Forbidden: cannot be set for an Ephemeral Container`,
    ),
  ],
];

for (const [title, pod, expected] of cases) {
  test(`validate of ephemeral containers answers ${title}`, () => {
    const errors = ephemeralContainersPart.validate(pod, live).map(({ field, message }) => `${field}: ${message}`);
    assert.deepEqual(errors, expected);
  });
}

test("prepare of ephemeral containers changes nothing else, and fills in defaults", () => {
  const wanted: Pod = {
    metadata: { name: "p", labels: { other: "label" } },
    spec: { containers: [{ name: "other", image: "other" }], ephemeralContainers: [{ name: "b", image: "i" }] },
  };
  const { metadata, spec } = ephemeralContainersPart.prepare(wanted, live);
  assert.deepEqual(
    [metadata, spec?.containers.map(({ name }) => name), spec?.ephemeralContainers],
    [
      live.metadata,
      ["a"],
      [
        {
          name: "b",
          image: "i",
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          resources: {},
          imagePullPolicy: "Always",
        },
      ],
    ],
  );
});
