// KmsProviders in a cluster: rings that are made, kept, lost and restored; what a spec refers to; who may go when.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FINALIZERS, RING_KEY } from "../crds/names.ts";
import { askApiServer, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { createRing, printRing } from "../kms/ring.ts";
import { type KubeObject, RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
/** What "within seconds" is, and what a busy machine is given beside it: less than until the next look at a key. */
const ACTS_MS = 3000;
const PATIENCE = 15;
let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("keys");
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function secretWith(name: string, data: Record<string, string>): Promise<void> {
  const metadata = { namespace: world.namespace, name };
  const values = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata,
    data: Object.fromEntries(values) as Record<string, string>,
  };
  await world.kube.create(RESOURCES.secrets, secret, never);
}

function hasLabels({ metadata }: KubeObject, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([name, value]) => metadata.labels?.[name] === value);
}

function ringText(): string {
  return JSON.stringify(printRing(createRing(new Date())));
}

async function untilReason(provider: string, type: "KeyUsable" | "CredentialsResolved", reason: string) {
  return await world.until(RESOURCES.kmsProviders, provider, (one) => conditionIn(one, type)?.reason === reason);
}

describe("a key ring", () => {
  it("is made once, is nobody's to collect, and outlives its provider", async () => {
    await world.apply(RESOURCES.kmsProviders, "made", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "made");
    const secret = await world.find(RESOURCES.secrets, "made-key-ring");
    expect(secret?.metadata.ownerReferences).toBeUndefined();
    await world.remove(RESOURCES.kmsProviders, "made");
    await world.untilGone(RESOURCES.kmsProviders, "made");
    expect((await world.find(RESOURCES.secrets, "made-key-ring"))?.metadata.uid).toBe(secret?.metadata.uid);
    await world.apply(RESOURCES.kmsProviders, "made", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "made");
    const again = await world.find(RESOURCES.secrets, "made-key-ring");
    expect(again?.data).toEqual(secret?.data);
  });

  it("that has gone is lost, never made again, and taken up when it is restored", async () => {
    await world.apply(RESOURCES.kmsProviders, "lost", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "lost");
    const secret = await world.find(RESOURCES.secrets, "lost-key-ring");
    await world.remove(RESOURCES.secrets, "lost-key-ring");
    const provider = await untilReason("lost", "KeyUsable", "KeyRingLost");
    expect(conditionIn(provider, "KeyUsable")?.message).toContain('Secret "lost-key-ring" has gone');
    expect(conditionIn(provider, "KeyUsable")?.message).toContain(provider.status.key?.id ?? "no id");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await world.find(RESOURCES.secrets, "lost-key-ring")).toBeUndefined();
    const text = Buffer.from(secret?.data?.[RING_KEY] ?? "", "base64").toString("utf8");
    await secretWith("lost-key-ring", { [RING_KEY]: text });
    await world.untilReady(RESOURCES.kmsProviders, "lost");
    await eventually(
      async () => await world.events("lost"),
      (reasons) => reasons.includes("KeyRingLost"),
    );
  });

  it("of another is not taken for the one that was lost", async () => {
    await world.apply(RESOURCES.kmsProviders, "swapped", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "swapped");
    const name = { namespace: world.namespace, name: "swapped-key-ring" };
    const data = { [RING_KEY]: Buffer.from(ringText()).toString("base64") };
    await world.kube.patch(RESOURCES.secrets, name, { data }, never);
    await untilReason("swapped", "KeyUsable", "KeyRingLost");
  });

  it("that is spoiled says where, and nothing of what it holds", async () => {
    await world.apply(RESOURCES.kmsProviders, "spoiled", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "spoiled");
    const secret = await world.find(RESOURCES.secrets, "spoiled-key-ring");
    const text = Buffer.from(secret?.data?.[RING_KEY] ?? "", "base64").toString("utf8");
    const { keys } = JSON.parse(text) as { readonly keys: readonly { readonly key: string }[] };
    const spoiled = text.replace('"format":"coffer-ring-1"', '"format":"other"');
    const name = { namespace: world.namespace, name: "spoiled-key-ring" };
    const data = { [RING_KEY]: Buffer.from(spoiled).toString("base64") };
    await world.kube.patch(RESOURCES.secrets, name, { data }, never);
    const provider = await untilReason("spoiled", "KeyUsable", "KeyRingInvalid");
    expect(JSON.stringify(provider)).not.toContain(keys[0]?.key ?? "no key");
    expect(world.operator.printed()).not.toContain(keys[0]?.key ?? "no key");
  });

  it("that a person keeps is read, never written, and its changes act", async () => {
    await world.apply(RESOURCES.kmsProviders, "kept", {
      type: "Local",
      local: { keySecretRef: { name: "my-ring", key: "ring" } },
    });
    await untilReason("kept", "CredentialsResolved", "SecretNotFound");
    await secretWith("my-ring", { other: "x" });
    await untilReason("kept", "CredentialsResolved", "SecretKeyMissing");
    const name = { namespace: world.namespace, name: "my-ring" };
    const data = { ring: Buffer.from(ringText()).toString("base64") };
    const beganMs = performance.now();
    await world.kube.patch(RESOURCES.secrets, name, { data }, never);
    await world.untilReady(RESOURCES.kmsProviders, "kept");
    expect(performance.now() - beganMs).toBeLessThan(ACTS_MS * PATIENCE);
    const before = await world.find(RESOURCES.secrets, "my-ring");
    await world.apply(RESOURCES.kmsProviders, "kept", {
      type: "Local",
      local: { keySecretRef: { name: "my-ring", key: "ring" } },
      keyRotation: { keyGeneration: 1 },
    });
    const provider = await world.until(
      RESOURCES.kmsProviders,
      "kept",
      (one) => conditionIn(one, "RotationCurrent")?.reason === "RotationUnsupported",
    );
    expect(isTrue(provider, "Stalled")).toBe(true);
    expect(isTrue(provider, "Ready")).toBe(true);
    const after = await world.find(RESOURCES.secrets, "my-ring");
    expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
  });
});

describe("a KmsProvider", () => {
  it("in use waits for its buckets, and says for which", async () => {
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
    await world.applyBucket("user");
    await world.untilReady(RESOURCES.encryptedBuckets, "user");
    await world.until(
      RESOURCES.kmsProviders,
      "local",
      (one) => one.metadata.finalizers?.includes(FINALIZERS.inUse) === true,
    );
    await world.remove(RESOURCES.kmsProviders, "local");
    const provider = await world.until(RESOURCES.kmsProviders, "local", (one) => isTrue(one, "DeletionBlocked"));
    expect(conditionIn(provider, "DeletionBlocked")).toMatchObject({ reason: "InUse" });
    expect(conditionIn(provider, "DeletionBlocked")?.message).toContain('EncryptedBucket "user"');
    expect(conditionIn(provider, "Ready")).toMatchObject({ status: "True", reason: "DeletionBlocked" });
    expect(conditionIn(provider, "Ready")?.message).toMatch(/^It is being deleted\. .*EncryptedBucket "user"/);
    await world.remove(RESOURCES.encryptedBuckets, "user");
    await world.untilGone(RESOURCES.kmsProviders, "local");
  });

  it("that nobody uses goes at once", async () => {
    await world.apply(RESOURCES.kmsProviders, "idle", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "idle");
    expect((await world.find(RESOURCES.kmsProviders, "idle"))?.metadata.finalizers ?? []).toEqual([]);
    await world.remove(RESOURCES.kmsProviders, "idle");
    await world.untilGone(RESOURCES.kmsProviders, "idle");
  });

  it("is looked at again when somebody asks for it", async () => {
    await world.apply(RESOURCES.kmsProviders, "asked", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "asked");
    const annotations = { "coffer.dev/reconcile-requested-at": "now" };
    await world.apply(RESOURCES.kmsProviders, "asked", { type: "Local" }, { annotations });
    await world.until(RESOURCES.kmsProviders, "asked", ({ status }) => status.lastHandledReconcileAt === "now");
  });

  it("has its key tried again when somebody asks for it, however long its interval is", async () => {
    let status = 404;
    const vault = createServer((_asked, answer) => {
      answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ errors: [] }));
    });
    await new Promise<void>((resolve) => vault.listen(0, "127.0.0.1", resolve));
    await secretWith("some-token", { token: "t" });
    const spec = {
      type: "Vault",
      vault: {
        address: `http://127.0.0.1:${(vault.address() as AddressInfo).port}`,
        allowInsecure: true,
        keyName: "photos",
        auth: { tokenSecretRef: { name: "some-token", key: "token" } },
      },
      healthCheck: { interval: "1h", timeout: "30s", failureThreshold: 1 },
    };
    try {
      await world.apply(RESOURCES.kmsProviders, "asked-again", spec);
      await untilReason("asked-again", "KeyUsable", "KeyNotFound");
      status = 403;
      const annotations = { "coffer.dev/reconcile-requested-at": "now" };
      await world.apply(RESOURCES.kmsProviders, "asked-again", spec, { annotations });
      await untilReason("asked-again", "CredentialsResolved", "LoginFailed");
    } finally {
      vault.closeAllConnections();
      vault.close();
    }
  });

  it("of a Vault that is not there is told, and the rest goes on", async () => {
    await secretWith("vault-token", { token: "t" });
    await world.apply(RESOURCES.kmsProviders, "vault", {
      type: "Vault",
      vault: {
        address: "http://127.0.0.1:9",
        allowInsecure: true,
        keyName: "photos",
        auth: { tokenSecretRef: { name: "vault-token", key: "token" } },
      },
      healthCheck: { interval: "5s", timeout: "1s", failureThreshold: 2 },
    });
    const provider = await world.until(
      RESOURCES.kmsProviders,
      "vault",
      (one) => conditionIn(one, "Reachable")?.reason === "ConnectionFailed",
    );
    expect(provider.status.endpoint).toBe("http://127.0.0.1:9");
    await eventually(
      async () => await world.events("vault"),
      (reasons) => reasons.includes("ConnectionFailed"),
    );
  });

  const unreachable = (auth: object) => ({
    type: "Vault",
    vault: { address: "http://127.0.0.1:9", allowInsecure: true, keyName: "photos", auth },
    healthCheck: { interval: "5s", timeout: "1s" },
  });
  const untilAsked = async (name: string) =>
    await world.until(
      RESOURCES.kmsProviders,
      name,
      (one) => conditionIn(one, "Reachable")?.reason === "ConnectionFailed",
    );
  const account = async () => await world.find(RESOURCES.serviceAccounts, "coffer-kms");

  /** Does it by a client of its own, which the API server writes down beside what it sets. */
  const somebody = async (method: "PATCH" | "POST", body: object, name = "") => {
    const path = `/api/v1/namespaces/${world.namespace}/serviceaccounts${name}?fieldManager=somebody`;
    const type = method === "POST" ? "application/json" : "application/merge-patch+json";
    const { status } = await askApiServer(sharedApiServer(), method, path, body, { "content-type": type });
    expect(status).toBeLessThan(300);
  };

  it("that names no ServiceAccount logs in as one that is made for it, labelled, without an owner", async () => {
    await world.apply(RESOURCES.kmsProviders, "by-ours", unreachable({ kubernetes: { role: "coffer" } }));
    await untilAsked("by-ours");
    const made = await account();
    expect(made?.metadata.ownerReferences).toBeUndefined();
    expect(made?.metadata.labels).toMatchObject({
      "app.kubernetes.io/managed-by": "coffer",
      "app.kubernetes.io/component": "kms-login",
    });
    expect(made).toMatchObject({ automountServiceAccountToken: false });
  });

  it("has its ServiceAccount made again where somebody removed it", async () => {
    const { metadata } = (await account()) ?? {};
    await world.remove(RESOURCES.serviceAccounts, "coffer-kms");
    const again = await world.until(
      RESOURCES.serviceAccounts,
      "coffer-kms",
      (one) => one.metadata.uid !== metadata?.uid,
    );
    expect(again.metadata.labels).toEqual(metadata?.labels);
    await untilAsked("by-ours");
  });

  it("has its ServiceAccount put right where somebody changed it or took its labels", async () => {
    const before = await account();
    const labels = before?.metadata.labels ?? {};
    const taken = Object.fromEntries(Object.keys(labels).map((label) => [label, null]));
    const changes: readonly object[] = [
      { metadata: { labels: { "app.kubernetes.io/component": "other" } } },
      { automountServiceAccountToken: true },
      { metadata: { labels: { "app.kubernetes.io/managed-by": null } } },
      { metadata: { labels: { ...taken, team: "a" }, annotations: { note: "theirs" } } },
    ];
    for (const change of changes) {
      await somebody("PATCH", change, "/coffer-kms");
      const again = await eventually(
        async () => ({ ...(await account()) }) as KubeObject & { automountServiceAccountToken?: boolean },
        (one) => one.automountServiceAccountToken === false && hasLabels(one, labels),
      );
      expect(again.metadata.uid).toBe(before?.metadata.uid);
    }
    expect(await account()).toMatchObject({ metadata: { labels: { team: "a" }, annotations: { note: "theirs" } } });
    await untilAsked("by-ours");
  });

  it("leaves its ServiceAccount to the providers that come after it", async () => {
    const before = await account();
    await world.remove(RESOURCES.kmsProviders, "by-ours");
    await world.untilGone(RESOURCES.kmsProviders, "by-ours");
    await world.apply(RESOURCES.kmsProviders, "by-ours-again", unreachable({ kubernetes: { role: "coffer" } }));
    await untilAsked("by-ours-again");
    expect(await account()).toEqual(before);
    await world.remove(RESOURCES.kmsProviders, "by-ours-again");
    await world.untilGone(RESOURCES.kmsProviders, "by-ours-again");
  });

  it("logs in as a coffer-kms that somebody else made, and leaves it as it is", async () => {
    // The operator has heard by then that nobody needs one of its own.
    await world.apply(RESOURCES.kmsProviders, "after", { type: "Local" });
    await world.untilReady(RESOURCES.kmsProviders, "after");
    await world.remove(RESOURCES.serviceAccounts, "coffer-kms");
    const metadata = { name: "coffer-kms", labels: { team: "a" } };
    await somebody("POST", { apiVersion: "v1", kind: "ServiceAccount", metadata });
    const before = await account();
    await world.apply(RESOURCES.kmsProviders, "by-theirs", unreachable({ kubernetes: { role: "coffer" } }));
    await untilAsked("by-theirs");
    expect(await account()).toEqual(before);
  });

  it("that names a ServiceAccount says when it is missing, and asks for its token when it is there", async () => {
    const kubernetes = { role: "coffer", serviceAccountRef: { name: "mine" } };
    await world.apply(RESOURCES.kmsProviders, "by-account", unreachable({ kubernetes }));
    const provider = await untilReason("by-account", "CredentialsResolved", "ServiceAccountNotFound");
    expect(conditionIn(provider, "CredentialsResolved")?.message).toContain('ServiceAccount "mine"');
    const metadata = { namespace: world.namespace, name: "mine" };
    await world.kube.create(RESOURCES.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata }, never);
    await untilAsked("by-account");
  });
});
