// Whoever makes a mistake is told what it is and what to do: by the API server before anything is stored, or else by a
// condition, which `kubectl get coffer` and `kubectl describe` show.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kubectl } from "./cluster.ts";
import { bucket, bucketUnder, localProvider, store, vaultProvider } from "./manifests.ts";
import { type Condition, conditionOf, type KubeObject, type Resource } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";

const TOLD_MS = 60_000;
const READY_MS = 120_000;

let team: Team;

beforeAll(async () => {
  team = await createTeam("mistakes");
});

afterAll(async () => await team?.remove());

/** The condition, once it has that reason. */
async function told(resource: Resource, name: string, type: string, reason: string): Promise<Condition> {
  const object = await team.untilReason(resource, name, type, reason, TOLD_MS);
  return conditionOf(object, type) as Condition;
}

describe("the API server refuses with a sentence", () => {
  const token = { tokenSecretRef: { name: "vault-token", key: "token" } };
  const REFUSED: Readonly<Record<string, readonly [object, string | RegExp]>> = {
    "a slip of the pen": [bucket("slip", { encription: {} }), /unknown field "(spec\.)?encription"/],
    "a bucket without a provider": [bucket("keyless", { encryption: {} }), /kmsProviderRef/],
    "a name that no bucket can have": [bucket("Photos"), "lowercase"],
    "a bucket name that S3 does not allow": [bucket("photos", { bucketName: "my_photos" }), "must be a bucket name"],
    "a permission that there is not": [
      bucket("photos", { access: [{ name: "app", permissions: ["ReadWrite"] }] }),
      'supported values: "Read", "Write", "List", "Delete"',
    ],
    "two access entries that want one Secret": [
      bucket("photos", {
        access: ["a", "b"].map((name) => ({ name, permissions: ["Read"], secretName: "shared" })),
      }),
      "each secretName can be given once",
    ],
    "a Vault without TLS that nobody allowed": [
      vaultProvider("vault", token, { address: "http://vault.test.invalid:8200" }),
      "an http:// address needs allowInsecure: true",
    ],
    "two ways to log in": [
      vaultProvider("vault", { ...token, kubernetes: { role: "coffer" } }),
      "exactly one of kubernetes, appRole and tokenSecretRef must be set",
    ],
    "a Vault without its address": [
      { ...vaultProvider("vault", token), spec: { type: "Vault" } },
      "vault must be set with type Vault",
    ],
    "an interval in words": [localProvider("local", { healthCheck: { interval: "5 minutes" } }), "must be a duration"],
    "more pods than a local volume can have": [store("wide", { replicas: 2 }), "needs backend.type S3"],
  };

  it.each(Object.entries(REFUSED))("%s", async (_what, [object, words]) => {
    await expect(team.apply(object)).rejects.toThrow(words);
  });

  const vault = vaultProvider("kept-key", token);
  const CHANGES: Readonly<Record<string, readonly [before: object, after: object, words: string]>> = {
    "another bucket name": [
      bucket("named", { storeRef: { name: "nowhere" } }),
      bucket("named", { storeRef: { name: "nowhere" }, bucketName: "renamed" }),
      "spec.bucketName is immutable",
    ],
    "another store": [
      bucket("moved", { storeRef: { name: "nowhere" } }),
      bucket("moved", { storeRef: { name: "elsewhere" } }),
      "storeRef is immutable",
    ],
    "a counter that falls": [
      localProvider("counted", { keyRotation: { keyGeneration: 3 } }),
      localProvider("counted", { keyRotation: { keyGeneration: 2 } }),
      "can be raised, never lowered or removed",
    ],
    "another key of Vault": [
      vault,
      vaultProvider("kept-key", token, { keyName: "other" }),
      "make a new KmsProvider and point the buckets at it",
    ],
  };

  it.each(Object.entries(CHANGES))("%s", async (_what, [before, after, words]) => {
    await team.apply(before);
    await expect(team.apply(after)).rejects.toThrow(words);
  });
});

describe("a KmsProvider says what to do about", () => {
  it("a Vault whose name nobody knows", async () => {
    await team.apply([secret("known-token", { token: "t" }), vaultProvider("away", tokenIn("known-token"))]);
    const { message } = await told("kmsproviders", "away", "Reachable", "ConnectionFailed");
    expect(message).toMatch(
      /(cannot be reached|did not answer) .*: check its address, https:\/\/vault\.test\.invalid:8200, and the network/,
    );
    await told("kmsproviders", "away", "Ready", "ConnectionFailed");
  });

  it("a Secret that is missing, and then one without the key", async () => {
    await team.apply(vaultProvider("secretless", tokenIn("later-token")));
    const missing = await told("kmsproviders", "secretless", "CredentialsResolved", "SecretNotFound");
    expect(missing.message).toContain('Secret "later-token" does not exist: make it, with the key "token"');
    await team.apply(secret("later-token", { tokn: "t" }));
    const keyless = await told("kmsproviders", "secretless", "CredentialsResolved", "SecretKeyMissing");
    expect(keyless.message).toContain('Secret "later-token" has no key "token": add it, or correct the reference');
    await team.apply(secret("later-token", { token: "t" }));
    await told("kmsproviders", "secretless", "Reachable", "ConnectionFailed");
  });

  it("a key ring that is missing, and is Ready once it is there", async () => {
    const keySecretRef = { name: "my-ring", key: "ring.json" };
    await team.apply([localProvider("local"), localProvider("kept", { local: { keySecretRef } })]);
    const { message } = await told("kmsproviders", "kept", "CredentialsResolved", "SecretNotFound");
    expect(message).toContain('Secret "my-ring" does not exist: make it, with the key "ring.json"');
    await team.untilReady("kmsproviders", "local", READY_MS);
    await team.apply(secret("my-ring", (await team.secret("local-key-ring")) ?? {}));
    await team.untilReady("kmsproviders", "kept", READY_MS);
  });

  it("tokens that the operator may not request: what the message says is enough", async () => {
    const kubernetes = { role: "coffer", serviceAccountRef: { name: "mine" } };
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "mine" } };
    await team.apply([account, vaultProvider("denied", { kubernetes })]);
    const { message } = await told("kmsproviders", "denied", "CredentialsResolved", "TokenRequestDenied");
    const [, commands = ""] = / To allow it: (.*)$/.exec(message) ?? [];
    expect(commands).toMatch(/^kubectl .* && kubectl /);
    for (const command of commands.split(" && ")) await kubectl(command.split(" ").slice(1));
    await told("kmsproviders", "denied", "Reachable", "ConnectionFailed");
  });
});

describe("an EncryptedBucket says what to do about", () => {
  it("a provider that is not there", async () => {
    await team.apply(bucketUnder("nobody", "unprovided", { storeRef: { name: "nowhere" } }));
    const { message } = await told("encryptedbuckets", "unprovided", "ProviderReady", "ProviderNotFound");
    expect(message).toBe('KmsProvider "nobody" does not exist: make it, or name another');
  });

  it("a store that is not there", async () => {
    const { message } = await told("encryptedbuckets", "unprovided", "StoreReady", "StoreNotFound");
    expect(message).toContain('EncryptedStore "nowhere" does not exist: make it');
  });

  it("a bucket name that another has", async () => {
    await team.apply(bucket("second", { bucketName: "unprovided", storeRef: { name: "nowhere" } }));
    const { message } = await told("encryptedbuckets", "second", "StoreReady", "NameConflict");
    expect(message).toContain('EncryptedBucket "unprovided" has the bucket name "unprovided"');
    await told("encryptedbuckets", "second", "Stalled", "NameConflict");
  });
});

describe("an EncryptedStore says what to do about", () => {
  it("a volume that nobody provides", async () => {
    const filesystem = { size: "1Gi", storageClassName: "not-there" };
    await team.apply(store("pending", { backend: { type: "Filesystem", filesystem } }));
    const { message } = await told("encryptedstores", "pending", "BackendReachable", "VolumePending");
    expect(message).toContain('PersistentVolumeClaim "coffer-pending" waits for a volume of StorageClass "not-there"');
    expect(message).toContain("describe pvc coffer-pending");
    await told("encryptedstores", "pending", "Ready", "VolumePending");
  });

  it("an image that cannot be pulled, and is Ready once there is another", async () => {
    await team.apply(store("imageless", { pod: { image: "registry.test.invalid/coffer:1" } }));
    const isTold = (object: Parameters<typeof conditionOf>[0]) =>
      conditionOf(object, "Available")?.message.includes("check spec.pod.image") === true;
    // Whether the name is known is asked of whoever knows names for this machine, which may take its time.
    const found = await team.until("encryptedstores", "imageless", "to tell of its image", isTold, READY_MS);
    expect(conditionOf(found, "Available")?.message).toContain("registry.test.invalid/coffer:1");
    await team.apply(store("imageless"));
    await team.untilReady("encryptedstores", "imageless", READY_MS);
  });

  it("a name that is taken: what is there is left as it is, and it goes on when that has gone", async () => {
    const ports = [{ name: "web", port: 80 }];
    const theirs = { apiVersion: "v1", kind: "Service", metadata: { name: "coffer-taken" }, spec: { ports } };
    await team.apply(theirs);
    const before = await team.get("services", "coffer-taken");
    await team.apply(store("taken"));
    const { message } = await told("encryptedstores", "taken", "ResourcesApplied", "NameTaken");
    expect(message).toContain('Service "coffer-taken" is there already and not ours: remove it, or name');
    await told("encryptedstores", "taken", "Stalled", "NameTaken");
    expect(await team.get("services", "coffer-taken")).toEqual(before);
    await team.delete("services", "coffer-taken");
    await told("encryptedstores", "taken", "ResourcesApplied", "ObjectsApplied");
  });
});

describe("to somebody who looks", () => {
  it("`kubectl get coffer` says of each what is wrong with it", async () => {
    const printed = await team.kubectl(["get", "coffer"]);
    const lines = printed.split("\n");
    const WRONG = {
      "kmsprovider.coffer.dev/away": "ConnectionFailed",
      "encryptedbucket.coffer.dev/unprovided": "StoreNotFound",
      "encryptedbucket.coffer.dev/second": "NameConflict",
      "encryptedstore.coffer.dev/pending": "VolumePending",
    };
    for (const [name, reason] of Object.entries(WRONG)) {
      const line = lines.find((one) => one.startsWith(`${name} `));
      expect([name, line]).toEqual([name, expect.stringMatching(new RegExp(` False +${reason} `))]);
    }
  });

  it("`kubectl describe` tells the same by an Event, and by a condition what only takes its time", async () => {
    const describe = async (name: string) => (await team.kubectl(["describe", name])).split("\nEvents:");
    const isLast = ({ regarding, reason }: KubeObject) => regarding.name === "taken" && reason === "NameTaken";
    await team.untilEvent("of the last mistake", isLast);
    const TOLD_BY_EVENT: readonly (readonly [string, string])[] = [
      ["kmsprovider/away", "ConnectionFailed"],
      ["kmsprovider/denied", "TokenRequestDenied"],
      ["encryptedbucket/second", "NameConflict"],
      ["encryptedstore/taken", "NameTaken"],
    ];
    for (const [name, reason] of TOLD_BY_EVENT) {
      const [, events = ""] = await describe(name);
      expect([name, events]).toEqual([name, expect.stringMatching(new RegExp(`Warning +${reason} `))]);
    }
    const [pending = ""] = await describe("encryptedstore/pending");
    expect(pending).toContain('waits for a volume of StorageClass "not-there"');
  });
});

function tokenIn(name: string): object {
  return { tokenSecretRef: { name, key: "token" } };
}

function secret(name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData };
}
