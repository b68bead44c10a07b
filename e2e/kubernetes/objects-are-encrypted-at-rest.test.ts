// Whoever has the volume has ciphertext. Random markers go into a store on the cluster by every way there is; then all
// files of its volume are searched for them, and for the keys that would open what is there.

import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { API_VERSION, DEFAULT_STORE, keyRingName, RING_KEY } from "../../crds/names.ts";
import { MIB } from "../bodies.ts";
import { restObject, s3Client } from "../clients.ts";
import type { Credentials } from "../harness.ts";
import { formsOf, includesAny } from "../search.ts";
import type { KubeObject } from "./objects.ts";
import { isReady, operatorLogs } from "./operatorpods.ts";
import { createTeam, type Team } from "./team.ts";
import { askAdmin, podOf, volumeFilesWith } from "./volumes.ts";

const READY_MS = 120_000;

/** Of what must not be read, and of the names of objects, which may. */
const MARKER = `marker-${randomBytes(18).toString("hex")}`;
const NAME = `name-${randomBytes(18).toString("hex")}`;
const FORMS = formsOf(MARKER);

const PROVIDER = {
  apiVersion: API_VERSION,
  kind: "KmsProvider",
  metadata: { name: "local" },
  spec: { type: "Local" },
};
const ENCRYPTIONS: Readonly<Record<string, object>> = {
  "as-it-comes": {},
  "a-key-each": { keyMode: "Object" },
  chacha: { algorithm: "ChaCha20-Poly1305", chunkSize: "16Ki" },
};

function bucket(name: string, encryption: object): object {
  const access = [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }];
  return {
    apiVersion: API_VERSION,
    kind: "EncryptedBucket",
    metadata: { name },
    spec: { encryption: { kmsProviderRef: { name: "local" }, ...encryption }, access },
  };
}

/** The marker at the start, at chunk edges and at the end, and noise between. */
function marked(totalBytes: number): Buffer {
  const body = randomBytes(totalBytes);
  for (let at = 0; at + MARKER.length <= totalBytes; at += 16_384 - 7) body.write(MARKER, at);
  body.write(MARKER, totalBytes - MARKER.length);
  return body;
}

const METADATA = { note: MARKER };
const CONTEXT = Buffer.from(JSON.stringify({ [`of-${MARKER}`]: MARKER })).toString("base64");
/** All that may be said of an object besides its name. */
const DESCRIBED = {
  Metadata: METADATA,
  ContentType: `text/${MARKER}`,
  ContentDisposition: `attachment; filename="${MARKER}"`,
  Tagging: `kind=${MARKER}&${MARKER}=yes`,
  ServerSideEncryption: "aws:kms",
  SSEKMSEncryptionContext: CONTEXT,
} as const;

/** The bytes of a key, and the texts in which it would be written down. */
function formsOfKey(base64: string): readonly Buffer[] {
  const bytes = Buffer.from(base64, "base64");
  const texts = [base64.replace(/=+$/, ""), bytes.toString("base64url"), bytes.toString("hex")];
  return [bytes, ...texts.map((text) => Buffer.from(text)), Buffer.from(bytes.toString("hex").toUpperCase())];
}

describe("what is stored in a cluster", () => {
  let team: Team;
  const buckets = new Map<string, { credentials: Credentials; s3: S3Client }>();

  beforeAll(async () => {
    team = await createTeam("at-rest");
    const wanted = Object.entries(ENCRYPTIONS);
    await team.apply([PROVIDER, ...wanted.map(([name, encryption]) => bucket(name, encryption))]);
    for (const [name] of wanted) {
      await team.untilReady("encryptedbuckets", name, READY_MS);
      const credentials = await team.credentials(`${name}-app`);
      buckets.set(name, { credentials, s3: s3Client(credentials) });
    }
  });

  afterAll(async () => {
    for (const { s3 } of buckets.values()) s3.destroy();
    await team?.remove();
  });

  describe.each(Object.keys(ENCRYPTIONS))("goes into the bucket %s", (name) => {
    const into = () => {
      const found = buckets.get(name);
      if (found === undefined) throw new Error(`The bucket ${name} is not ready`);
      return found;
    };

    it.each([MARKER.length, 60_000, 3 * MIB])("with all that is said of it: %i bytes", async (size) => {
      const { credentials, s3 } = into();
      const where = { Bucket: credentials.bucket, Key: `${NAME}/${size}` };
      const body = marked(size);
      await s3.send(new PutObjectCommand({ ...where, Body: body, ...DESCRIBED }));
      await s3.send(new CopyObjectCommand({ ...where, Key: "copy", CopySource: `${where.Bucket}/${where.Key}` }));
      for (const Key of [where.Key, "copy"]) {
        const got = await s3.send(new GetObjectCommand({ ...where, Key }));
        expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
        expect(got).toMatchObject({ Metadata: METADATA, ContentType: DESCRIBED.ContentType });
      }
      const { TagSet } = await s3.send(new GetObjectTaggingCommand(where));
      expect(TagSet).toContainEqual({ Key: "kind", Value: MARKER });
    });

    it("in parts, of an upload that is completed and of one that is left", async () => {
      const { credentials, s3 } = into();
      const where = { Bucket: credentials.bucket, Key: `${NAME}/parts` };
      const body = marked(7 * MIB);
      await new Upload({ client: s3, params: { ...where, ...DESCRIBED, Body: Readable.from([body]) } }).done();
      const got = await s3.send(new GetObjectCommand(where));
      expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...where, Key: "left", ...DESCRIBED }));
      const part = { ...where, Key: "left", UploadId, PartNumber: 1, Body: marked(5 * MIB) };
      await s3.send(new UploadPartCommand(part));
    });

    it("by REST, over an older object, and into one that is deleted", async () => {
      const { credentials, s3 } = into();
      const headers = { "Content-Type": `text/${MARKER}`, "x-amz-meta-note": MARKER };
      for (const size of [200_000, 100_000]) {
        const put = await restObject(credentials, "rest", { method: "PUT", body: marked(size), headers });
        expect(put.ok).toBe(true);
      }
      const got = await restObject(credentials, "rest");
      expect(includesAny(Buffer.from(await got.arrayBuffer()), FORMS)).toBe(true);
      const where = { Bucket: credentials.bucket, Key: "gone" };
      await s3.send(new PutObjectCommand({ ...where, Body: marked(500_000), ...DESCRIBED }));
      await s3.send(new DeleteObjectCommand(where));
    });
  });

  it("is on the volume, under names that can be read and with nothing else of it", async () => {
    for (const moment of ["while it is served", "after its pod was ended"]) {
      if (moment !== "while it is served") await endPod();
      const { found, files } = await volumeFilesWith(team, DEFAULT_STORE, FORMS);
      expect({ moment, found }).toEqual({ moment, found: [] });
      // The bodies are files, and the search sees what there is to be seen.
      expect(files).toBeGreaterThan(10);
      expect((await volumeFilesWith(team, DEFAULT_STORE, formsOf(NAME))).found).not.toEqual([]);
    }
  });

  it("lies beside no key that opens it, and beside nobody's credentials", async () => {
    const ring = JSON.parse((await team.secret(keyRingName("local")))?.[RING_KEY] ?? "{}") as {
      keys: readonly { readonly key: string }[];
    };
    const forms = ring.keys.flatMap(({ key }) => formsOfKey(key));
    expect(forms.length).toBeGreaterThan(0);
    for (const { credentials } of buckets.values()) {
      forms.push(...formsOf(credentials.secretAccessKey), ...formsOf(credentials.token));
    }
    expect((await volumeFilesWith(team, DEFAULT_STORE, forms)).found).toEqual([]);
  });

  it("is in nothing that the pods print, show or tell the API server", async () => {
    const said: Record<string, string> = {
      "the pod's log": await team.logs(podOf(DEFAULT_STORE)),
      "the operator's log": await operatorLogs(),
      events: await team.kubectl(["get", "events", "-o", "json"]),
      resources: await team.kubectl(["get", "coffer,statefulsets,pods,configmaps", "-o", "json"]),
    };
    for (const path of ["/metrics", "/config", "/jobs"]) said[path] = await askAdmin(team, DEFAULT_STORE, path);
    for (const [where, text] of Object.entries(said)) {
      expect({ where, isEmpty: text === "", found: includesAny(Buffer.from(text), FORMS) }).toEqual({
        where,
        isEmpty: false,
        found: false,
      });
    }
  });

  async function endPod(): Promise<void> {
    const pod = podOf(DEFAULT_STORE);
    const uid = (await team.get("pods", pod))?.metadata.uid;
    await team.delete("pods", pod);
    const isAnother = (now: KubeObject | undefined) => now !== undefined && now.metadata.uid !== uid && isReady(now);
    await team.until("pods", pod, "to be another, and ready", isAnother, READY_MS);
  }
});
