import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Principal } from "../access/access.ts";
import type { Call } from "../call.ts";
import type { Permission } from "../config/config.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  createWorld,
  credentialWith,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  type World,
} from "./contract/world.ts";
import type { ObjectRef, ObjectStore } from "./objects.ts";

const EVERY = { prefix: "", delimiter: "", after: "", limit: 1000, afterUploadId: "" };
const UPLOAD = { ...PHOTO, uploadId: "0".repeat(32) };
const COMPLETE = {
  conditions: { ifMatch: undefined, ifNoneMatch: undefined },
  sizeBytes: undefined,
  checksums: new Map(),
};
const PARTS = [{ partNumber: 1, etag: "x", checksums: new Map() }];

const COPY = {
  source: getWanted().conditions,
  headers: undefined,
  tags: undefined,
  encryption: putWanted().encryption,
  conditions: COMPLETE.conditions,
  checksum: undefined,
};

/** Every method, with the permissions that it needs. */
const METHODS: {
  readonly [Name in keyof ObjectStore]: [
    Permission | readonly Permission[],
    (objects: ObjectStore, call: Call) => Promise<unknown>,
  ];
} = {
  copy: [["Read", "Write"], (objects, call) => objects.copy(call, PHOTO, { ...PHOTO, name: "copy" }, COPY)],
  copyPart: [
    ["Read", "Write"],
    (objects, call) =>
      objects.copyPart(call, PHOTO, { ...UPLOAD, partNumber: 1 }, { source: COPY.source, range: undefined }),
  ],
  change: ["Write", (objects, call) => objects.change(call, PHOTO, { kind: "tags", tags: new Map() })],
  storedParts: ["Read", (objects, call) => objects.storedParts(call, PHOTO, getWanted().conditions)],
  put: ["Write", (objects, call) => objects.put(call, PHOTO, bodyOf(plainBytes(1)), putWanted())],
  get: ["Read", (objects, call) => objects.get(call, PHOTO, getWanted())],
  head: ["Read", (objects, call) => objects.head(call, PHOTO, getWanted())],
  list: ["List", (objects, call) => objects.list(call, "photos", EVERY)],
  remove: ["Delete", (objects, call) => objects.remove(call, PHOTO, { ifMatch: undefined })],
  createUpload: ["Write", (objects, call) => objects.createUpload(call, PHOTO, putWanted())],
  putPart: ["Write", (objects, call) => objects.putPart(call, { ...UPLOAD, partNumber: 1 }, bodyOf(plainBytes(1)))],
  completeUpload: ["Write", (objects, call) => objects.completeUpload(call, UPLOAD, PARTS, COMPLETE)],
  abortUpload: ["Write", (objects, call) => objects.abortUpload(call, UPLOAD)],
  parts: ["Write", (objects, call) => objects.parts(call, UPLOAD, 0, 10)],
  rewrap: ["Write", (objects, call) => objects.rewrap(call, "photos", undefined)],
  rewrapUploads: ["Write", (objects, call) => objects.rewrapUploads(call, "photos", undefined)],
  uploads: ["List", (objects, call) => objects.uploads(call, "photos", EVERY)],
};
const ROWS = Object.entries(METHODS).map(([name, [needed, run]]) => [name, [needed].flat(), run] as const);
const ALL: readonly Permission[] = ["Read", "Write", "List", "Delete"];

function ended(principal: Principal): Principal {
  if (principal.kind !== "credential") return principal;
  const configured = { ...principal.credential.configured, endsMs: 1 };
  return { kind: "credential", credential: { ...principal.credential, configured } };
}

function ofMusic(principal: Principal): Principal {
  if (principal.kind !== "credential") return principal;
  return { kind: "credential", credential: { ...principal.credential, bucket: "music" } };
}

describe.each(ROWS)("%s()", (name, permissions, run) => {
  const refused: readonly (readonly [string, Principal])[] = [
    ["may nothing", credentialWith()],
    ...permissions.map(
      (missing) => [`may all but ${missing}`, credentialWith(...ALL.filter((one) => one !== missing))] as const,
    ),
    ["did not sign", { kind: "anonymous" }],
    ["has ended", ended(credentialWith(...ALL))],
    ["belongs to another bucket", ofMusic(credentialWith(...ALL))],
  ];
  test.each(refused)("is refused to who %s, and says so in the audit line", async (_who, principal) => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
    const before = await state(world);
    expect(await codeOf(run(world.objects, callOf(world, { principal })))).toBe("AccessDenied");
    expect(world.audit.at(-1)).toMatchObject({ bucket: "photos", failure: { code: "AccessDenied", tamper: false } });
    expect(await state(world)).toEqual(before);
  });

  test("does what it should for who has just these permissions", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
    const code = await codeOf(run(world.objects, callOf(world, { principal: credentialWith(...permissions) })));
    expect(code).toBe(
      ["putPart", "copyPart", "completeUpload", "abortUpload", "parts"].includes(name) ? "NoSuchUpload" : "done",
    );
  });

  test("knows no bucket that the configuration does not have, or that is being emptied", async () => {
    const world = await createWorld(localKey());
    const principal = credentialWith(...ALL);
    const going = [bucketEntry("photos", { state: "empty-and-remove" })];
    expect(await codeOf(run(world.objects, callOf(world, { principal, buckets: [] })))).toBe("NoSuchBucket");
    expect(await codeOf(run(world.objects, callOf(world, { principal, buckets: going })))).toBe("NoSuchBucket");
  });

  test("serves a bucket that is to be removed once it is empty", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
    const buckets = [bucketEntry("photos", { state: "remove-if-empty" })];
    expect(await codeOf(run(world.objects, callOf(world, { principal: credentialWith(...ALL), buckets })))).not.toBe(
      "NoSuchBucket",
    );
  });
});

test("that an object does not exist is told only to who may list", async () => {
  const world = await createWorld(localKey());
  for (const [permissions, code] of [
    [["Read", "List"], "NoSuchKey"],
    [["Read"], "AccessDenied"],
  ] as const) {
    const call = callOf(world, { principal: credentialWith(...permissions) });
    expect(await codeOf(world.objects.get(call, PHOTO, getWanted()))).toBe(code);
    expect(await codeOf(world.objects.head(call, PHOTO, getWanted()))).toBe(code);
  }
});

test("If-Match tells that an object does not exist only to who may list", async () => {
  const conditions = { ifMatch: "x", ifNoneMatch: undefined };
  const none: ObjectRef = { ...PHOTO, name: "none" };
  const world = await createWorld(localKey());
  await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
  const upload = await world.objects.createUpload(callOf(world), none, putWanted());
  const { etag } = await world.objects.putPart(callOf(world), { ...upload.ref, partNumber: 1 }, bodyOf(plainBytes(1)));
  const parts = [{ partNumber: 1, etag, checksums: new Map() }];
  for (const [principal, code] of [
    [credentialWith(...ALL), "NoSuchKey"],
    [credentialWith("Read", "Write", "Delete"), "AccessDenied"],
  ] as const) {
    const { objects } = world;
    const call = callOf(world, { principal });
    expect(await codeOf(objects.put(call, none, bodyOf(plainBytes(1)), putWanted({ conditions })))).toBe(code);
    expect(await codeOf(objects.copy(call, PHOTO, none, { ...COPY, conditions }))).toBe(code);
    expect(await codeOf(objects.completeUpload(call, upload.ref, parts, { ...COMPLETE, conditions }))).toBe(code);
    expect(await codeOf(objects.remove(call, none, conditions))).toBe(code);
    expect(await codeOf(objects.put(call, PHOTO, bodyOf(plainBytes(1)), putWanted({ conditions })))).toBe(
      "PreconditionFailed",
    );
  }
  const writer = callOf(world, { principal: credentialWith("Write") });
  const onlyNew = { ifMatch: undefined, ifNoneMatch: "*" } as const;
  expect(await codeOf(world.objects.put(writer, none, bodyOf(plainBytes(1)), putWanted({ conditions: onlyNew })))).toBe(
    "done",
  );
});

async function state(world: World): Promise<unknown> {
  const { signal } = new AbortController();
  const found = await world.storage.find(PHOTO, signal);
  const uploads = await world.storage.uploads("photos", { ...EVERY, after: undefined }, signal);
  return { tag: found?.tag, uploads: uploads.items.length };
}
