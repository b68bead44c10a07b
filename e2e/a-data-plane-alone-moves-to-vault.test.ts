// A data plane that runs alone moves from its key ring to Vault and back, while what was written before stays readable.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AloneDataPlane } from "./alone.ts";
import { OpenBao } from "./openbao.ts";

/** OpenBao comes over the network the first time. */
const INSTALL_MS = 600_000;

let bao: OpenBao;
let home = "";
beforeAll(async () => {
  bao = await OpenBao.create();
  await bao.shell("bao secrets enable transit && bao write -f transit/keys/coffer derived=true");
  home = await mkdtemp(join(tmpdir(), "coffer-alone-"));
}, INSTALL_MS);
afterAll(async () => {
  await bao?.remove();
  await rm(home, { recursive: true, force: true });
});

test("from the ring to Vault and back, rotated on the way", async () => {
  const token = bao.environment()["BAO_TOKEN"] ?? "";
  const vault = { RUSTFS_KMS_ENDPOINT: bao.address, RUSTFS_KMS_TOKEN: token };
  const alone = await AloneDataPlane.create(home);
  try {
    await alone.start({ RUSTFS_KMS_PROVIDER: "local" });
    await alone.rest("buckets/photos", { method: "PUT" });
    await alone.rest("buckets/photos/objects/one", { method: "PUT", body: "one" });
    await alone.end("SIGTERM");

    await alone.start({ RUSTFS_KMS_PROVIDER: "vault", ...vault });
    expect(await alone.jobOf("photos", "vault/0/")).toMatchObject({ oldestKeyVersion: "1", counts: { rewrapped: 1 } });
    await alone.rest("buckets/photos/objects/two", { method: "PUT", body: "two" });
    const rotated = await alone.rest("keys/vault/rotate", { method: "POST" });
    expect(await rotated.json()).toMatchObject({ kmsKeyId: "transit/coffer", version: "2", rotated: true });
    expect(await alone.jobOf("photos", "vault/0/2")).toMatchObject({ oldestKeyVersion: "2" });
    await alone.end("SIGTERM");

    await alone.start({ RUSTFS_KMS_PROVIDER: "local", ...vault });
    expect(await alone.jobOf("photos", "local/0/1")).toMatchObject({ oldestKeyVersion: "1", counts: { rewrapped: 1 } });
    await alone.end("SIGTERM");

    await alone.start({ RUSTFS_KMS_PROVIDER: "local" });
    expect(await (await alone.rest("buckets/photos/objects/one")).text()).toBe("one");
    expect(await (await alone.rest("buckets/photos/objects/two")).text()).toBe("two");
  } finally {
    await alone.end("SIGKILL");
  }
});
