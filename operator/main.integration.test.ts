// The whole operator against a real API server, with real data planes as its pods.

import { afterEach, describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../crds/names.ts";
import { RESOURCES } from "./kube/resources.ts";
import { createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

let world: OperatorWorld;

afterEach(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function quickstart(): Promise<void> {
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  await world.apply(RESOURCES.encryptedBuckets, "photos", {
    encryption: { kmsProviderRef: { name: "local" } },
    access: [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }],
  });
}

async function credentials(name: string): Promise<Record<string, string>> {
  const secret = await world.until(RESOURCES.secrets, name, ({ data }) => data !== undefined);
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]));
}

/** Over REST, at the pod. */
async function rest(method: string, object: string, token: string, body?: string): Promise<Response> {
  const address = world.node.addressOf("coffer-default-0");
  const url = `http://${address}:8080/api/v1/buckets/photos/objects/${object}`;
  return await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body }),
  });
}

describe("the operator", () => {
  it("brings two resources to Ready, and objects go in and out with the credentials of the Secret", async () => {
    world = await createOperatorWorld("quickstart");
    await quickstart();
    await world.untilReady(RESOURCES.kmsProviders, "local", 30_000);
    await world.untilReady(RESOURCES.encryptedBuckets, "photos", 60_000);
    const keys = await credentials("photos-app");
    expect(Object.keys(keys).sort()).toEqual(Object.values(ACCESS_KEYS).sort());
    const token = keys[ACCESS_KEYS.token] ?? "";
    expect((await rest("PUT", "hello.txt", token, "hello")).status).toBeLessThan(300);
    expect(await (await rest("GET", "hello.txt", token)).text()).toBe("hello");
  }, 120_000);

  it("rotates when keyGeneration rises, once, and the bucket follows", async () => {
    world = await createOperatorWorld("rotation");
    await quickstart();
    await world.untilReady(RESOURCES.encryptedBuckets, "photos", 60_000);
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
    const provider = await world.until(
      RESOURCES.kmsProviders,
      "local",
      ({ status }) => status.key?.version === "2" && status.rotation === undefined,
    );
    expect(provider.status.key?.generation).toBe(1);
    const bucket = await world.until(
      RESOURCES.encryptedBuckets,
      "photos",
      (one) => one.status.encryption?.keyVersion === "2" && isTrue(one, "RewrapComplete"),
      30_000,
    );
    expect(isTrue(bucket, "Ready")).toBe(true);
  }, 120_000);
});
