import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { signRequest } from "../../lib/certificate.ts";
import { makeRequest } from "../../lib/certificate-request.ts";
import type { Clock } from "../../lib/clock.ts";
import { openPki, validity } from "./pki.ts";

const dayMs = 24 * 3600 * 1000;
const startMs = Date.UTC(2026, 0, 1);

function clockAt(nowMs: number): Clock {
  return { now: () => nowMs, monotonicMs: () => 0, after: () => ({ cancel: () => {} }) };
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "naru-pki-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("openPki makes keys that only their owner can read, and keeps them", () =>
  withFolder(async (folder) => {
    const first = await openPki({ folder, hosts: ["naru.example", "fd00::1"], clock: clockAt(startMs) });
    const second = await openPki({ folder, hosts: ["naru.example", "fd00:0:0::1"], clock: clockAt(startMs + dayMs) });
    assert.deepEqual(second, first);
    assert.equal((await stat(join(folder, "ca.pem"))).mode & 0o777, 0o600);
    const server = new X509Certificate(first.server.certificatePem);
    const ca = new X509Certificate(first.authority.certificatePem);
    assert.equal(server.checkIssued(ca) && server.verify(ca.publicKey), true);
    assert.equal(server.checkHost("naru.example"), "naru.example");
    assert.equal(server.checkIP("10.96.0.1"), "10.96.0.1");
    assert.equal(new X509Certificate(first.admin.certificatePem).subject, "O=system:masters\nCN=naru-admin");
  }));

test("openPki renews what nears its end or lacks a host, under the same authority", () =>
  withFolder(async (folder) => {
    const first = await openPki({ folder, hosts: [], clock: clockAt(startMs) });
    const other = await openPki({ folder, hosts: ["new.example"], clock: clockAt(startMs) });
    assert.notEqual(other.server.certificatePem, first.server.certificatePem);
    assert.equal(other.admin.certificatePem, first.admin.certificatePem);
    const later = await openPki({ folder, hosts: ["new.example"], clock: clockAt(startMs + 300 * dayMs) });
    assert.notEqual(later.admin.certificatePem, first.admin.certificatePem);
    assert.equal(later.authority.certificatePem, first.authority.certificatePem);
  }));

test("signRequest signs the key but not the subject that was asked for", () =>
  withFolder(async (folder) => {
    const pki = await openPki({ folder, hosts: [], clock: clockAt(startMs) });
    const { requestPem } = makeRequest({ commonName: "root", organizations: ["system:masters"] });
    const options = {
      subject: { commonName: "system:node:a", organizations: ["system:nodes"] },
      usages: ["client"],
      hosts: [],
      ...validity(startMs),
    } as const;
    const signed = new X509Certificate(await signRequest(pki.authority, requestPem, options));
    assert.equal(signed.subject, "O=system:nodes\nCN=system:node:a");
    await assert.rejects(signRequest(pki.authority, "-----BEGIN nonsense", options), TypeError);
  }));
