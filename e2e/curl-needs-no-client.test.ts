// curl alone is enough: signed by itself, and with addresses that somebody else signed.

import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MIB } from "./bodies.ts";
import { runShell, s3Client, sayAside } from "./clients.ts";
import { prepareDebian } from "./debian.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { md5 } from "./s3.ts";
import { createMd5Bucket, type SelfService, startSelfService } from "./selfservice.ts";

let service: SelfService;
let folder: string;
beforeAll(async () => {
  await prepareDebian(sayAside);
  folder = await mkdtemp(join(tmpdir(), "coffer-curl-"));
  service = await startSelfService();
}, 400_000);
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

const BUCKETS: Readonly<Record<string, () => Promise<Credentials> | Credentials>> = {
  "opaque ETags": () => service.app,
  "MD5 ETags": () => createMd5Bucket(service.admin, "md5-curl"),
};
const SIZES = [0, 1, 70_000, 20 * MIB + 1] as const;

for (const [kind, bucketOf] of Object.entries(BUCKETS)) {
  describe(`with ${kind}`, () => {
    let credentials: Credentials;
    let s3: S3Client;
    let at: string;
    beforeAll(async () => {
      credentials = await bucketOf();
      s3 = s3Client(credentials);
      at = `${credentials.endpoint}/${credentials.bucket}`;
    });
    afterAll(() => s3?.destroy());

    /** Fails as curl does; resolves with what it printed. */
    const curl = async (words: string): Promise<string> => {
      const { code, output, errors } = await runShell(`curl -fsS ${words}`, folder);
      expect({ words, code, errors }).toEqual({ words, code: 0, errors: "" });
      return output;
    };
    const signed = (words: string): Promise<string> => {
      const { region, accessKeyId, secretAccessKey } = credentials;
      return curl(`--aws-sigv4 'aws:amz:${region}:s3' -u '${accessKeyId}:${secretAccessKey}' ${words}`);
    };
    // Not every curl says so itself.
    const UNSIGNED = "-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'";

    const fetched = () => readFile(join(folder, "fetched"));
    const expectEtag = (head: string, body: Buffer) => {
      const etag = /^etag: "(.*)"\r$/im.exec(head)?.[1];
      if (kind === "MD5 ETags") expect(etag).toBe(md5(body));
      else expect(etag).toMatch(/^[0-9a-f]{32}-1$/);
    };

    for (const size of SIZES) {
      test(`signs by itself, puts and gets ${size} bytes, twice`, async () => {
        for (const body of [randomBytes(size), randomBytes(size)]) {
          await writeFile(join(folder, "sent"), body);
          const head = await signed(`-D - ${UNSIGNED} -T sent '${at}/signed/${size}.bin'`);
          expectEtag(head, body);
          await signed(`-o fetched '${at}/signed/${size}.bin'`);
          expect((await fetched()).equals(body)).toBe(true);
        }
      });

      test(`puts and gets ${size} bytes by presigned addresses, twice`, async () => {
        const where = { Bucket: credentials.bucket, Key: `presigned/${size} ä.bin` };
        const [put, get, head] = await Promise.all([
          getSignedUrl(s3, new PutObjectCommand(where)),
          getSignedUrl(s3, new GetObjectCommand(where)),
          getSignedUrl(s3, new HeadObjectCommand(where)),
        ]);
        for (const body of [randomBytes(size), randomBytes(size)]) {
          await writeFile(join(folder, "sent"), body);
          expectEtag(await curl(`-D - -T sent '${put}'`), body);
          await curl(`-o fetched '${get}'`);
          expect((await fetched()).equals(body)).toBe(true);
          expectEtag(await curl(`--head '${head}'`), body);
        }
      });
    }

    test("lists, gets a range, copies and deletes", async () => {
      // Older curls sign a query as it stands, so it has to stand as it is signed.
      expect(await signed(`'${at}?list-type=2&prefix=signed%2F'`)).toContain("<Key>signed/70000.bin</Key>");
      await signed(`-o fetched '${at}/signed/70000.bin'`);
      const whole = await fetched();
      await signed(`-o fetched -r 65530-65545 '${at}/signed/70000.bin'`);
      expect((await fetched()).equals(whole.subarray(65_530, 65_546))).toBe(true);
      await signed(`-X PUT -H 'x-amz-copy-source: /${credentials.bucket}/signed/70000.bin' '${at}/copied.bin'`);
      await signed(`-o fetched '${at}/copied.bin'`);
      expect((await fetched()).equals(whole)).toBe(true);
      await signed(`-X DELETE '${at}/signed/70000.bin'`);
      await signed(`-X DELETE '${at}/signed/70000.bin'`);
      const gone = new DeleteObjectCommand({ Bucket: credentials.bucket, Key: "copied.bin" });
      await curl(`-X DELETE '${await getSignedUrl(s3, gone)}'`);
      const left = await signed(`'${at}?list-type=2'`);
      expect(left).toContain("<Key>signed/1.bin</Key>");
      expect(left).not.toMatch(/<Key>(signed\/70000|copied)\.bin<\/Key>/);
    });
  });
}
