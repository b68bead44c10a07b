// The lines that a person may paste once the store runs. Pure.

import { ACCESS_KEYS } from "../../crds/names.ts";
import type { Ports } from "./settings.ts";
import { LISTEN_ADDRESS, shownPath } from "./settings.ts";

export interface Given {
  /** undefined: those that it makes. */
  readonly bucket: string | undefined;
  readonly entry: string;
  readonly permissions: readonly string[];
  readonly path: string;
}

export interface Urls {
  readonly s3: string;
  readonly rest: string;
  readonly admin: string;
}

export function urlsOf(ports: Ports): Urls {
  const url = (port: number) => `http://${LISTEN_ADDRESS}:${port}`;
  return { s3: url(ports.s3), rest: url(ports.rest), admin: url(ports.admin) };
}

/** Where it listens, whose credentials are where, and what to try. */
export function welcome(urls: Urls, given: readonly Given[]): string[] {
  const lines = [
    "",
    `  S3      ${urls.s3}`,
    `  REST    ${urls.rest}`,
    `  admin   ${urls.admin}   (/readyz /metrics /config /jobs)`,
    "",
    ...given.map(({ bucket, entry, permissions, path }) => {
      const where = bucket === undefined ? "self-service" : `bucket ${bucket}`;
      return `  ${where}, ${entry}: ${shownPath(path)}   (${bucket === undefined ? MAKES : permissions.join(", ")})`;
    }),
  ];
  const best = given.find(({ permissions }) => permissions.includes("Read") && permissions.includes("Write"));
  const maker = given.find(({ bucket }) => bucket === undefined);
  const trying = best === undefined ? maker && triesOfMaker(maker.path) : tries(best.path);
  return trying === undefined ? [...lines, ""] : [...lines, "", "Try it:", "", ...trying.map(indented), ""];
}

const MAKES = "makes buckets";
const FIRST_BUCKET = "my-first-bucket";

/** Makes a bucket first; the rest is as for any other. */
function triesOfMaker(path: string): string[] {
  const { restUrl, token, bucketName } = ACCESS_KEYS;
  const [source = "", ...rest] = tries(path);
  return [
    source.replace("; set +a", `; ${bucketName}=${FIRST_BUCKET}; set +a`),
    `curl -fsS -X PUT -H "Authorization: Bearer $${token}" "$${restUrl}/api/v1/buckets/$${bucketName}"`,
    ...rest,
  ];
}

/** Each line works alone once the first has run. */
export function tries(path: string): string[] {
  const { restUrl, token, bucketName, s3Endpoint, region, accessKeyId, secretAccessKey } = ACCESS_KEYS;
  const object = `"$${restUrl}/api/v1/buckets/$${bucketName}/objects/hello.txt"`;
  const bearer = `-H "Authorization: Bearer $${token}"`;
  return [
    `set -a; . ${sourced(path)}; set +a`,
    `echo hello | curl -fsS ${bearer} -T - ${object}`,
    `curl -fsS ${bearer} ${object}`,
    `curl -fsS --aws-sigv4 "aws:amz:$${region}:s3" -u "$${accessKeyId}:$${secretAccessKey}" "$${s3Endpoint}/$${bucketName}/hello.txt"`,
    `node -e 'import("@aws-sdk/client-s3").then(async (s3) => console.log((await new s3.S3({ forcePathStyle: true }).listObjectsV2({ Bucket: process.env.${bucketName} })).Contents))'`,
  ];
}

/** As a shell takes it. */
function sourced(path: string): string {
  const shown = shownPath(path);
  return /^[A-Za-z0-9_./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
}

function indented(line: string): string {
  return `  ${line}`;
}
