/** Who owns all buckets, as S3 asks for owners, and requests that expect somebody else. */
import { Failure } from "../failure.ts";
import type { Target } from "./target.ts";

/** Nobody owns anything here, but clients expect that somebody does. */
export const OWNER_ID = "coffer";

const EXPECTED = ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] as const;

/** Throws AccessDenied where a request on a bucket, or the source of a copy, is meant for one of somebody else's. */
export function checkOwner({ bucket, fields }: Target): void {
  if (bucket === undefined) return;
  for (const name of EXPECTED) {
    const expected = fields.get(name);
    if (expected !== undefined && expected !== OWNER_ID) {
      throw new Failure("AccessDenied", `The header ${name} does not name the owner of the bucket`);
    }
  }
}
