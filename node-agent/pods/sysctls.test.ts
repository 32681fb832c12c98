import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kinds/generated/types.ts";
import { sysctlRefusal } from "./sysctls.ts";

function podOf(...names: readonly string[]): Pod {
  return { spec: { containers: [], securityContext: { sysctls: names.map((name) => ({ name, value: "1" })) } } };
}

test("sysctlRefusal lets safe settings through, and those that the node's owner allows", () => {
  const refused = (name: string) =>
    `forbidden sysctl: "${name}" not allowlisted; start the node's agent with --allowed-unsafe-sysctl ${name} to allow it`;
  const answers = [
    sysctlRefusal(podOf("net.ipv4.tcp_syncookies", "net/ipv4/tcp_fin_timeout"), []),
    sysctlRefusal(podOf("net.ipv4.tcp_syncookies", "net.core.somaxconn"), []),
    sysctlRefusal(podOf("net.core.somaxconn", "kernel.msgmax"), ["net.core.*"]),
    sysctlRefusal(podOf("net.core.somaxconn"), ["net.core.somax"]),
  ];
  assert.deepEqual(answers, [
    undefined,
    refused("net.core.somaxconn"),
    refused("kernel.msgmax"),
    refused("net.core.somaxconn"),
  ]);
});
