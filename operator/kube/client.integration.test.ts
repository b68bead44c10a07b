// The verbs against a real API server, and what becomes of the answers that it gives when it is not well.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { times } from "../../e2e/cluster/faults.ts";
import { createManualClock } from "../manualclock.ts";
import { KubeError } from "./failure.ts";
import { RESOURCES } from "./resources.ts";
import { CONFIG_MAPS_WHOLE, configMap, createKubeWorld, eventually, type KubeWorld } from "./world.ts";

const never = new AbortController().signal;
let world: KubeWorld;

beforeAll(async () => {
  world = await createKubeWorld("client");
});

afterAll(async () => {
  await world.close();
});

async function failure(promise: Promise<unknown>): Promise<KubeError> {
  const error = await promise.then(
    () => new Error("It succeeded"),
    (reason: unknown) => reason,
  );
  if (error instanceof KubeError) return error;
  throw error;
}

const secret = (name: string, value: string) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: world.namespace, name },
  data: { key: Buffer.from(value).toString("base64") },
});

describe("the verbs", () => {
  it("create, read, replace and remove an object", async () => {
    const { kube, namespace } = world;
    const name = { namespace, name: "life" };
    expect(await kube.read(RESOURCES.secrets, name, never)).toBeUndefined();
    const made = await kube.create(RESOURCES.secrets, secret("life", "one"), never);
    expect((await failure(kube.create(RESOURCES.secrets, secret("life", "two"), never))).code).toBe("exists");
    const changed = await kube.replace(RESOURCES.secrets, { ...made, data: { key: "dHdv" } }, never);
    expect((await failure(kube.replace(RESOURCES.secrets, made, never))).code).toBe("conflict");
    expect((await kube.read(RESOURCES.secrets, name, never))?.data).toEqual({ key: "dHdv" });
    expect(await kube.remove(RESOURCES.secrets, name, { uid: "another" }, never)).toBe(false);
    const { uid = "" } = changed.metadata;
    expect(await kube.remove(RESOURCES.secrets, name, { uid }, never)).toBe(true);
    expect(await kube.remove(RESOURCES.secrets, name, { uid }, never)).toBe(true);
  });

  it("apply makes an object, corrects what drifted and leaves alone what others set", async () => {
    const { kube, other, namespace } = world;
    const wanted = configMap(namespace, "applied", { ours: "1" });
    await kube.apply(CONFIG_MAPS_WHOLE, wanted, { force: true }, never);
    const drift = { data: { ours: "drifted", theirs: "2" } };
    await other.patch(CONFIG_MAPS_WHOLE, { namespace, name: "applied" }, drift, never);
    await kube.apply(CONFIG_MAPS_WHOLE, wanted, { force: true }, never);
    const found = await kube.read(CONFIG_MAPS_WHOLE, { namespace, name: "applied" }, never);
    expect(found?.data).toEqual({ ours: "1", theirs: "2" });
  });

  it("apply that changes nothing writes nothing", async () => {
    const { kube, namespace } = world;
    const wanted = configMap(namespace, "twice", { a: "1" });
    const first = await kube.apply(CONFIG_MAPS_WHOLE, wanted, { force: true }, never);
    const second = await kube.apply(CONFIG_MAPS_WHOLE, wanted, { force: true }, never);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });

  it("apply without force does not take over what is another's", async () => {
    const { kube, other, namespace } = world;
    await other.create(CONFIG_MAPS_WHOLE, configMap(namespace, "theirs", { a: "theirs" }), never);
    await other.patch(CONFIG_MAPS_WHOLE, { namespace, name: "theirs" }, { data: { a: "still" } }, never);
    // What was not applied is another's, whatever the name of who wrote it.
    const mine = configMap(namespace, "theirs", { a: "ours" });
    const error = await failure(kube.apply(CONFIG_MAPS_WHOLE, mine, { force: false }, never));
    expect(error.code).toBe("conflict");
    expect(error.message).toContain("conflict");
  });

  it("a merge patch changes exactly the state that it names", async () => {
    const { kube, namespace } = world;
    const made = await kube.create(CONFIG_MAPS_WHOLE, configMap(namespace, "patched", { a: "1", b: "2" }), never);
    const name = { namespace, name: "patched" };
    const { resourceVersion } = made.metadata;
    const patch = (data: object) => ({ metadata: { resourceVersion }, data });
    expect((await kube.patch(CONFIG_MAPS_WHOLE, name, patch({ a: null }), never)).data).toEqual({ b: "2" });
    const error = await failure(kube.patch(CONFIG_MAPS_WHOLE, name, patch({ a: "3" }), never));
    expect(error.code).toBe("conflict");
  });

  it("a list comes in pages, and of Secrets brings metadata alone", async () => {
    const { kube, namespace } = world;
    for (const name of ["page-1", "page-2", "page-3"]) {
      await kube.create(RESOURCES.secrets, secret(name, "hidden"), never);
    }
    const scope = { namespace };
    const first = await kube.page(RESOURCES.secrets, scope, { limit: 2, after: undefined }, never);
    const second = await kube.page(RESOURCES.secrets, scope, { limit: 2, after: first.next }, never);
    expect(first.next).toBeDefined();
    expect(second.next).toBeUndefined();
    const all = [...first.items, ...second.items];
    expect(all.map(({ metadata }) => metadata.name)).toEqual(["page-1", "page-2", "page-3"]);
    expect(all.every((item) => item.kind === "Secret" && !("data" in item))).toBe(true);
    expect(world.proxy.violations).toEqual([]);
  });

  it("a token of a ServiceAccount has the audience and the time that were asked for", async () => {
    const { kube, other, namespace } = world;
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name: "vault" } };
    await other.create(RESOURCES.serviceAccounts, account, never);
    const wanted = { audience: "vault", seconds: 600 };
    const { token, expires } = await kube.requestToken({ namespace, name: "vault" }, wanted, never);
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as {
      readonly aud: string[];
      readonly sub: string;
    };
    expect(claims.aud).toEqual(["vault"]);
    expect(claims.sub).toBe(`system:serviceaccount:${namespace}:vault`);
    expect(Math.abs(expires.getTime() - Date.now() - 600_000)).toBeLessThan(30_000);
    const missing = await failure(kube.requestToken({ namespace, name: "nobody" }, wanted, never));
    expect(missing.code).toBe("not-found");
  });
});

describe("what is not well", () => {
  const name = () => ({ namespace: world.namespace, name: "any" });
  const answers: Readonly<Record<string, readonly [number, string, string]>> = {
    "401 is that nobody knows us": [401, "Unauthorized", "unauthorized"],
    "403 is a refusal": [403, "Forbidden", "denied"],
    "409 is a conflict": [409, "Conflict", "conflict"],
    "409 of what is there already says so": [409, "AlreadyExists", "exists"],
    "410 is too old": [410, "Expired", "expired"],
    "422 never succeeds": [422, "Invalid", "invalid"],
    "500 is for later": [500, "InternalError", "server"],
    "503 is for later": [503, "ServiceUnavailable", "server"],
  };

  it.each(Object.entries(answers))("%s", async (_, [status, reason, code]) => {
    const undo = world.proxy.fault(() => ({ kind: "answer", status, reason }));
    const error = await failure(world.kube.read(RESOURCES.secrets, name(), never));
    undo();
    expect({ code: error.code, status: error.status, reason: error.reason }).toEqual({ code, status, reason });
    expect(error.message).toContain(`Cannot read Secret ${world.namespace}/any`);
  });

  it("429 says how long to wait", async () => {
    const undo = world.proxy.fault(() => ({ kind: "answer", status: 429, retryAfterSeconds: 7 }));
    const error = await failure(world.kube.read(RESOURCES.secrets, name(), never));
    undo();
    expect({ code: error.code, retryAfterMs: error.retryAfterMs }).toEqual({ code: "throttled", retryAfterMs: 7000 });
  });

  it("a connection that breaks is unreachable", async () => {
    const undo = world.proxy.fault(() => ({ kind: "cut" }));
    const error = await failure(world.kube.create(RESOURCES.secrets, secret("cut", "a"), never));
    undo();
    expect(error.code).toBe("unreachable");
  });

  it("a write whose answer is lost was done all the same", async () => {
    const undo = world.proxy.fault(times(1, () => ({ kind: "lose" })));
    const error = await failure(world.kube.create(RESOURCES.secrets, secret("lost", "a"), never));
    undo();
    expect(error.code).toBe("unreachable");
    expect((await failure(world.kube.create(RESOURCES.secrets, secret("lost", "a"), never))).code).toBe("exists");
  });

  it("a question ends with its signal, and with the signal's reason", async () => {
    const undo = world.proxy.fault(() => ({ kind: "delay", delayMs: 15_000 }));
    const controller = new AbortController();
    const asked = world.kube.read(RESOURCES.secrets, name(), controller.signal);
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await expect(asked).rejects.toThrow("enough");
    await expect(world.kube.read(RESOURCES.secrets, name(), controller.signal)).rejects.toThrow("enough");
    undo();
  });

  const FROM = { resourceVersion: "0", timeoutSeconds: 240, silenceMs: 150_000 };

  it("a watch whose answer does not begin is unreachable within seconds", async () => {
    const clock = createManualClock();
    const silent = await createKubeWorld("silent", clock);
    const { kube, proxy, namespace } = silent;
    proxy.fault(({ isWatch }) => (isWatch ? { kind: "lose" } : undefined));
    const events = kube.watch(CONFIG_MAPS_WHOLE, { namespace }, FROM, never)[Symbol.asyncIterator]();
    const watched = failure(events.next());
    await eventually(
      () => proxy.seen,
      (seen) => seen.some(({ isWatch }) => isWatch),
    );
    await clock.pass(30_000);
    expect((await watched).code).toBe("unreachable");
    await silent.close();
  });

  it("a watch begins at once, though nothing happens", async () => {
    const { kube, proxy } = world;
    const scope = { namespace: `${world.namespace}-empty` };
    const { resourceVersion } = await kube.page(CONFIG_MAPS_WHOLE, scope, { limit: 1, after: undefined }, never);
    const ending = new AbortController();
    const before = proxy.watches();
    const events = kube.watch(CONFIG_MAPS_WHOLE, scope, { ...FROM, resourceVersion }, ending.signal);
    const ended = expect(events[Symbol.asyncIterator]().next()).rejects.toThrow("enough");
    // Sooner than any word of how far the stream has come.
    await eventually(
      () => proxy.watches(),
      (watches) => watches > before,
      25_000,
    );
    ending.abort(new Error("enough"));
    await ended;
  });

  it("a watch that has begun may be silent for longer", async () => {
    const clock = createManualClock();
    const quiet = await createKubeWorld("quiet", clock);
    const { kube, other, namespace } = quiet;
    const ending = new AbortController();
    const events = kube.watch(CONFIG_MAPS_WHOLE, { namespace }, FROM, ending.signal)[Symbol.asyncIterator]();
    for (const name of ["first", "second"]) {
      const next = events.next();
      await other.create(CONFIG_MAPS_WHOLE, configMap(namespace, name), never);
      expect((await next).done).toBe(false);
      await clock.pass(100_000);
    }
    ending.abort();
    await quiet.close();
  });

  it("no API server at all is unreachable", async () => {
    const gone = await createKubeWorld("gone");
    await gone.proxy.close();
    const error = await failure(gone.kube.read(RESOURCES.secrets, { namespace: "a", name: "b" }, never));
    expect(error.code).toBe("unreachable");
  });

  it("many questions share connections", async () => {
    const before = world.proxy.seen.length;
    // Each test before this one may have cost one.
    const { connections } = world.proxy;
    for (let time = 0; time < 20; time += 1) await world.kube.read(RESOURCES.secrets, name(), never);
    expect(world.proxy.seen.length - before).toBe(20);
    expect(world.proxy.connections - connections).toBeLessThan(10);
  });
});
