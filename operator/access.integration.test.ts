// Access Secrets in a cluster: what is made, what is another's, what rotates, and what a hand has changed.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../crds/names.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
const EVERYTHING = ["Read", "Write", "List", "Delete"];
let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("access");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function tokenIn(secret: string): Promise<string> {
  return (await world.secret(secret))[ACCESS_KEYS.token] ?? "";
}

async function status(bucket: string, token: string): Promise<number> {
  return (await world.rest("GET", bucket, "nothing-there", token)).status;
}

describe("access Secrets", () => {
  it("belong to their bucket, under the name that the entry gives", async () => {
    await world.applyBucket("named", { access: [{ name: "app", permissions: EVERYTHING, secretName: "my-keys" }] });
    await world.untilReady(RESOURCES.encryptedBuckets, "named");
    const bucket = await world.find(RESOURCES.encryptedBuckets, "named");
    const secret = await world.find(RESOURCES.secrets, "my-keys");
    expect(secret?.metadata.ownerReferences).toMatchObject([{ uid: bucket?.metadata.uid, controller: true }]);
    expect(await status("named", await tokenIn("my-keys"))).toBe(404);
  });

  it("that are another's are not touched, and the bucket says so until they are gone", async () => {
    const data = { mine: Buffer.from("precious").toString("base64") };
    const metadata = { namespace: world.namespace, name: "foreign-app" };
    await world.kube.create(RESOURCES.secrets, { apiVersion: "v1", kind: "Secret", metadata, data }, never);
    await world.applyBucket("foreign");
    const bucket = await world.until(RESOURCES.encryptedBuckets, "foreign", (one) => isTrue(one, "Stalled"));
    expect(conditionIn(bucket, "AccessReady")).toMatchObject({ status: "False", reason: "SecretConflict" });
    expect(conditionIn(bucket, "AccessReady")?.message).toContain('Secret "foreign-app"');
    expect((await world.find(RESOURCES.secrets, "foreign-app"))?.data).toEqual(data);
    await world.remove(RESOURCES.secrets, "foreign-app");
    await world.untilReady(RESOURCES.encryptedBuckets, "foreign");
    expect(await status("foreign", await tokenIn("foreign-app"))).toBe(404);
  });

  it("rotate with an overlap: pods know the new pair before the Secret has it, and the old one goes on", async () => {
    await world.applyBucket("rotating");
    await world.untilReady(RESOURCES.encryptedBuckets, "rotating");
    const old = await tokenIn("rotating-app");
    const access = [{ name: "app", permissions: EVERYTHING, credentialsGeneration: 1 }];
    await world.applyBucket("rotating", { access });
    const token = await eventually(
      async () => await tokenIn("rotating-app"),
      (now) => now !== old,
    );
    expect(await status("rotating", token)).toBe(404);
    expect(await status("rotating", old)).toBe(404);
    const bucket = await world.until(
      RESOURCES.encryptedBuckets,
      "rotating",
      (one) => one.status.access?.[0]?.credentialsGeneration === 1 && isTrue(one, "Ready"),
    );
    expect(bucket.status.access).toHaveLength(1);
    await eventually(
      async () => await world.events("rotating"),
      (reasons) => reasons.includes("CredentialsRotated"),
    );
    // The same thing told again is one Event with a count.
    expect(await world.tellings("rotating", "CredentialsRotated")).toBe(1);
  });

  it("rotate without an overlap where none is wanted", async () => {
    await world.applyBucket("strict", { credentialsOverlap: "0s" });
    await world.untilReady(RESOURCES.encryptedBuckets, "strict");
    const old = await tokenIn("strict-app");
    const access = [{ name: "app", permissions: EVERYTHING, credentialsGeneration: 1 }];
    await world.applyBucket("strict", { credentialsOverlap: "0s", access });
    await eventually(
      async () => await tokenIn("strict-app"),
      (now) => now !== old,
    );
    expect(await status("strict", await tokenIn("strict-app"))).toBe(404);
    expect(await status("strict", old)).toBe(401);
  });

  it("that are deleted get a new pair, and the old one ends at once", async () => {
    await world.applyBucket("deleted");
    await world.untilReady(RESOURCES.encryptedBuckets, "deleted");
    const old = await tokenIn("deleted-app");
    await world.remove(RESOURCES.secrets, "deleted-app");
    const token = await eventually(
      async () => (await world.find(RESOURCES.secrets, "deleted-app"))?.data?.[ACCESS_KEYS.token],
      (now) => now !== undefined,
    ).then(async () => await tokenIn("deleted-app"));
    expect(token).not.toBe(old);
    await eventually(
      async () => [await status("deleted", token), await status("deleted", old)],
      ([now, before]) => now === 404 && before === 401,
    );
    await eventually(
      async () => await world.events("deleted"),
      (reasons) => reasons.includes("CredentialsRotated"),
    );
    expect(await world.tellings("deleted", "CredentialsRotated")).toBe(1);
  });

  const harms: Readonly<Record<string, object>> = {
    "a value that was changed": {
      data: { [ACCESS_KEYS.s3Endpoint]: Buffer.from("http://elsewhere").toString("base64") },
    },
    "a value that was taken out": { data: { [ACCESS_KEYS.token]: null } },
    "a pair that was spoiled": { data: { [ACCESS_KEYS.secretAccessKey]: "" } },
    "a pair that was replaced": {
      data: { [ACCESS_KEYS.secretAccessKey]: Buffer.from("a-secret-of-somebody-else").toString("base64") },
    },
  };

  it.each(Object.entries(harms))("are mended: %s", async (_, harm) => {
    await world.applyBucket("mended");
    await world.untilReady(RESOURCES.encryptedBuckets, "mended");
    const whole = await world.secret("mended-app");
    await world.kube.patch(RESOURCES.secrets, { namespace: world.namespace, name: "mended-app" }, harm, never);
    await eventually(
      async () => await world.secret("mended-app"),
      (now) => JSON.stringify(Object.entries(now).sort()) === JSON.stringify(Object.entries(whole).sort()),
    );
  });

  it("keep what others have put beside the pair", async () => {
    await world.applyBucket("beside");
    await world.untilReady(RESOURCES.encryptedBuckets, "beside");
    const name = { namespace: world.namespace, name: "beside-app" };
    const beside = { data: { OTHER: "eA==", [ACCESS_KEYS.region]: null } };
    await world.kube.patch(RESOURCES.secrets, name, beside, never);
    const keys = await eventually(
      async () => await world.secret("beside-app"),
      (now) => now[ACCESS_KEYS.region] !== undefined,
    );
    expect(keys["OTHER"]).toBe("x");
  });

  it("go with their entry, and with a change of its name", async () => {
    const two = ["one", "two"].map((name) => ({ name, permissions: EVERYTHING }));
    await world.applyBucket("going", { access: two });
    await world.untilReady(RESOURCES.encryptedBuckets, "going");
    const gone = await tokenIn("going-two");
    await world.applyBucket("going", { access: two.slice(0, 1) });
    await world.untilGone(RESOURCES.secrets, "going-two");
    await eventually(
      async () => await status("going", gone),
      (code) => code === 401,
    );
    await world.applyBucket("going", { access: [{ ...two[0], secretName: "elsewhere" }] });
    await world.untilGone(RESOURCES.secrets, "going-one");
    await eventually(
      async () => await status("going", await tokenIn("elsewhere")),
      (code) => code === 404,
    );
  });

  it("say what changed when permissions do, at the pods and not in the Secret", async () => {
    await world.applyBucket("narrowed");
    await world.untilReady(RESOURCES.encryptedBuckets, "narrowed");
    const token = await tokenIn("narrowed-app");
    await world.applyBucket("narrowed", { access: [{ name: "app", permissions: ["Read"] }] });
    await eventually(
      async () => (await world.rest("PUT", "narrowed", "a", token, "a")).status,
      (code) => code === 403,
    );
    expect(await tokenIn("narrowed-app")).toBe(token);
  });
});
