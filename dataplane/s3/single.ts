/** PutObject, GetObject, HeadObject, DeleteObject: one object in one request. */
import type { Body, Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendBlocks } from "../http/stream.ts";
import { answerChecksums, answerObject, overridesOf, quotedEtag, sendNothing } from "./answers.ts";
import { S3Body } from "./body.ts";
import { answerContext, answerEncryption, checkNoEncryption } from "./encryption.ts";
import { allowsCustomerKeys, decided, type Handle, type Needs, objectOf } from "./handling.ts";
import type { Target } from "./target.ts";
import { bareEtag, checkConditions, getWanted, putWanted } from "./wanted.ts";

export const BODY_BYTES_MAX = 5 * 1024 ** 3;

export const putObject: Handle = async (needs, call, { target, body, answer }) => {
  const { ref, wanted } = decided(needs, call, target, "WriteObject", () => ({
    ref: objectOf(target),
    wanted: putWanted(target, checkBody(call, body), allowsCustomerKeys(call, target)),
  }));
  const info = await needs.objects.put(call, ref, body, wanted);
  answer.setHeader("ETag", quotedEtag(info.etag));
  answerEncryption(answer, info);
  answerContext(answer, info.context);
  answerChecksums(answer, info.checksums);
  sendNothing(answer, 200);
};

/** Length and digests, as far as the head tells them; returns the one checksum that the client chose. */
export function checkBody(call: Call, body: Body): S3Body["checksum"] {
  if (body.plainBytes === undefined) {
    throw new Failure("MissingContentLength", "The length of the body must be stated");
  }
  if (body.plainBytes > BODY_BYTES_MAX) {
    throw new Failure("EntityTooLarge", `A body may have at most ${BODY_BYTES_MAX} bytes`);
  }
  call.totalBytes = body.plainBytes;
  // Reading them refuses those that are malformed.
  void body.announced;
  return body instanceof S3Body ? body.checksum : undefined;
}

export const getObject: Handle = async (needs, call, { target, answer }) => {
  const { ref, wanted } = decidedRead(needs, call, target);
  const reading = await needs.objects.get(call, ref, wanted);
  try {
    answerObject(answer, target, reading);
    call.totalBytes = reading.toByte - reading.fromByte;
    await sendBlocks(call, answer, reading);
  } finally {
    await reading.close();
  }
};

export const headObject: Handle = async (needs, call, { target, answer }) => {
  const { ref, wanted } = decidedRead(needs, call, target);
  answerObject(answer, target, await needs.objects.head(call, ref, wanted));
  answer.end();
};

function decidedRead(needs: Needs, call: Call, target: Target) {
  return decided(needs, call, target, "ReadObject", () => {
    checkNoEncryption(target.fields);
    overridesOf(target);
    return { ref: objectOf(target), wanted: getWanted(target) };
  });
}

export const deleteObject: Handle = async (needs, call, { target, answer }) => {
  const { ref, ifMatch } = decided(needs, call, target, "DeleteObject", () => {
    checkConditions(target.fields, ["if-match"]);
    const etag = target.fields.get("if-match");
    return { ref: objectOf(target), ifMatch: etag === undefined ? undefined : bareEtag(etag) };
  });
  await needs.objects.remove(call, ref, { ifMatch });
  sendNothing(answer, 204);
};
