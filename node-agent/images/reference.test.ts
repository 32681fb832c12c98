import assert from "node:assert/strict";
import { test } from "node:test";
import { PullError } from "./images.ts";
import { formatReference, parseReference } from "./reference.ts";

const digest = `sha256:${"a".repeat(64)}`;

test("parseReference completes names as Docker does", () => {
  const names: Readonly<Record<string, string>> = {
    nginx: "docker.io/library/nginx:latest",
    "nginx:1.27": "docker.io/library/nginx:1.27",
    "grafana/grafana": "docker.io/grafana/grafana:latest",
    "index.docker.io/nginx": "docker.io/library/nginx:latest",
    "docker.io/nginx": "docker.io/library/nginx:latest",
    "localhost/a": "localhost/a:latest",
    "localhost:5000/a/b:x": "localhost:5000/a/b:x",
    "127.0.0.1:5000/a": "127.0.0.1:5000/a:latest",
    "[::1]:5000/a": "[::1]:5000/a:latest",
    "ghcr.io/a/b_c/d--e:V1.0_x": "ghcr.io/a/b_c/d--e:V1.0_x",
    "Host/a": "Host/a:latest",
    [`nginx@${digest}`]: `docker.io/library/nginx@${digest}`,
    [`quay.io/a:1@${digest}`]: `quay.io/a@${digest}`,
  };
  assert.deepEqual(
    Object.fromEntries(Object.keys(names).map((name) => [name, formatReference(parseReference(name))])),
    names,
  );
});

test("parseReference refuses what is no name, and says which part", () => {
  const refuse = (name: string) => {
    try {
      return formatReference(parseReference(name));
    } catch (error) {
      assert(error instanceof PullError && error.failure === "InvalidImageName");
      return error.message.replace(/^image name ".*?": /, "");
    }
  };
  assert.deepEqual(
    [
      "",
      "Nginx",
      "a//b",
      "a:",
      "a:b c",
      "-a",
      "a/../b",
      "a@sha256:12",
      "http://a/b",
      "a.b:99/",
      `${"a".repeat(64)}`,
      `x.y/${"b".repeat(260)}`,
    ].map(refuse),
    [
      "is empty; give a name such as nginx:1.27",
      '"Nginx" must be lower case',
      "has an empty part between slashes",
      'tag "" may have letters, digits, _ . and - only, 128 at most',
      'tag "b c" may have letters, digits, _ . and - only, 128 at most',
      '"-a" may have lower-case letters and digits, and . _ - between them',
      '".." may have lower-case letters and digits, and . _ - between them',
      '"sha256:12" is not a digest; one looks like sha256: and 64 hexadecimal digits',
      '"http:" is not a registry\'s host',
      "has an empty part between slashes",
      "docker.io/library/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:latest",
      "is longer than 255 characters",
    ],
  );
});
