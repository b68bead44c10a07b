/** What is changed of an object without its body: its tags, and how its data key is held. */
import { Failure } from "../failure.ts";
import type { Change, EncryptionWanted } from "../objects/objects.ts";
import { sendNothing, sendXml } from "./answers.ts";
import { readDocument } from "./document.ts";
import { checkAdmitted, decided, type Handle, NOTHING_ASKED, objectOf } from "./handling.ts";
import { tagSet, tagsIn } from "./tags.ts";
import { checkConditions } from "./wanted.ts";
import { elementIn, malformed, parseXml, textIn, xmlDocument } from "./xml.ts";

export const getObjectTagging: Handle = async (needs, call, { target, answer }) => {
  const ref = decided(needs, call, target, "ReadObject", () => objectOf(target));
  const { info } = await needs.objects.head(call, ref, NOTHING_ASKED);
  sendXml(answer, xmlDocument("Tagging", tagSet(info.tags)));
};

export const putObjectTagging: Handle = changeFrom((text) => ({ kind: "tags", tags: tagsIn(text) }));

export const deleteObjectTagging: Handle = async (needs, call, { target, answer }) => {
  const ref = decided(needs, call, target, "WriteObject", () => {
    checkConditions(target.fields, []);
    return objectOf(target);
  });
  await needs.objects.change(call, ref, { kind: "tags", tags: new Map() });
  sendNothing(answer, 204);
};

export const updateObjectEncryption: Handle = changeFrom((text) => ({
  kind: "encryption",
  encryption: encryptionIn(text),
}));

/** An operation whose document says what is to be changed. */
function changeFrom(parse: (text: string) => Change): Handle {
  return async (needs, call, { target, body, answer }) => {
    checkAdmitted(needs, call, target, "WriteObject");
    checkConditions(target.fields, []);
    const ref = objectOf(target);
    const change = parse(await readDocument(body));
    await needs.objects.change(call, ref, change);
    sendNothing(answer, 200);
  };
}

/** SSE-KMS alone can be asked for. */
function encryptionIn(text: string): EncryptionWanted {
  const kms = elementIn(parseXml(text, "ObjectEncryption"), "SSE-KMS");
  if (kms === undefined) throw malformed("it has no SSE-KMS");
  const kmsKeyId = textIn(kms, "KMSKeyArn");
  if (kmsKeyId === undefined || kmsKeyId === "") throw malformed("it names no KMSKeyArn");
  const flag = textIn(kms, "BucketKeyEnabled");
  if (flag !== undefined && flag !== "true" && flag !== "false") {
    throw new Failure("InvalidArgument", "BucketKeyEnabled must be true or false");
  }
  const bucketKeyEnabled = flag === undefined ? undefined : flag === "true";
  return { shown: "aws:kms", kmsKeyId, context: undefined, bucketKeyEnabled };
}
