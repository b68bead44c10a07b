/** ListBuckets, HeadBucket and GetBucketLocation. */
import { Failure } from "../failure.ts";
import { sendNothing, sendXml } from "./answers.ts";
import { wholeNumber } from "./fields.ts";
import { bucketOf, type Handle } from "./handling.ts";
import { nameOfToken, ownerElement, tokenOf } from "./listing.ts";
import type { Target } from "./target.ts";
import { element, optional, wrap, xmlDocument, xmlTime } from "./xml.ts";

const BUCKETS_MAX = 10_000;

export const listBuckets: Handle = async (needs, call, { target, answer }) => {
  const prefix = target.query.get("prefix") ?? "";
  const token = target.query.get("continuation-token");
  const after = token === undefined ? "" : nameOfToken(token);
  const limit = bucketsWanted(target);
  const { region } = call.snapshot.config;
  const all = await needs.buckets.list(call);
  // Bucket names are ASCII, so their order as strings is that of their bytes.
  const wanted = all.filter(({ name }) => name.startsWith(prefix) && name > after);
  const page = wanted.slice(0, limit);
  const last = page.at(-1);
  const inner = [
    ownerElement("Owner"),
    wrap(
      "Buckets",
      page
        .map(({ name, createdMs }) =>
          wrap(
            "Bucket",
            element("Name", name) + element("CreationDate", xmlTime(createdMs)) + element("BucketRegion", region),
          ),
        )
        .join(""),
    ),
    page.length < wanted.length && last !== undefined ? element("ContinuationToken", tokenOf(last.name)) : "",
    optional("Prefix", prefix === "" ? undefined : prefix),
  ];
  sendXml(answer, xmlDocument("ListAllMyBucketsResult", inner.join("")));
};

/** Absent or empty: all of them. */
function bucketsWanted(target: Target): number {
  const text = target.query.get("max-buckets");
  if (text === undefined || text === "") return Number.POSITIVE_INFINITY;
  const limit = wholeNumber(text);
  if (limit === undefined || limit < 1 || limit > BUCKETS_MAX) {
    throw new Failure("InvalidArgument", `The parameter max-buckets must be a whole number from 1 to ${BUCKETS_MAX}`);
  }
  return limit;
}

export const headBucket: Handle = async (needs, call, { target, answer }) => {
  await needs.buckets.head(call, bucketOf(target));
  answer.setHeader("x-amz-bucket-region", call.snapshot.config.region);
  sendNothing(answer, 200);
};

export const getBucketLocation: Handle = async (needs, call, { target, answer }) => {
  await needs.buckets.head(call, bucketOf(target));
  sendXml(answer, xmlDocument("LocationConstraint", call.snapshot.config.region));
};
