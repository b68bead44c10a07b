/** DeleteObjects: up to a thousand names in one request, each removed under the same guard as alone. */
import type { Body, Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendXml } from "./answers.ts";
import { readDocument } from "./document.ts";
import { codeOf } from "./errors.ts";
import { bucketOf, checkAdmitted, decided, type Handle, type Needs } from "./handling.ts";
import { bareEtag } from "./wanted.ts";
import {
  element,
  elementsIn,
  exactTextIn,
  malformed,
  optional,
  parseXml,
  textIn,
  wrap,
  type XmlElement,
  xmlDocument,
} from "./xml.ts";

const NAMES_MAX = 1000;
const NAME_BYTES_MAX = 1024;
/** With all that may be said of each name. */
const ELEMENTS_MAX = 8 * NAMES_MAX;
/** So many share a commit of the storage. */
const AT_ONCE = 64;

interface Listed {
  readonly name: string;
  /** As it came, to be answered. */
  readonly versionId: string | undefined;
  readonly ifMatch: string | undefined;
  /** Why it is not even tried. */
  readonly refused: Failure | undefined;
}

interface Outcome {
  readonly listed: Listed;
  readonly failure: Failure | undefined;
}

export const deleteObjects: Handle = async (needs, call, { target, body, answer }) => {
  checkAdmitted(needs, call, target, "DeleteObject");
  const bucket = bucketOf(target);
  decided(needs, call, target, "DeleteObject", () => checkSummed(body));
  const { listed, quiet } = parseList(await readDocument(body));
  const outcomes: Outcome[] = [];
  for (let from = 0; from < listed.length; from += AT_ONCE) {
    const some = listed.slice(from, from + AT_ONCE);
    outcomes.push(...(await Promise.all(some.map((one) => removeOne(needs, call, bucket, one)))));
  }
  call.name = undefined;
  const inner = outcomes.map((outcome) => outcomeElement(outcome, quiet)).join("");
  sendXml(answer, xmlDocument("DeleteResult", inner));
};

/** A list that arrived changed would remove other objects. */
function checkSummed(body: Body): void {
  if (body.announced.length > 0) return;
  throw new Failure("InvalidRequest", "The request needs Content-MD5 or a checksum of its body");
}

function parseList(text: string): { readonly listed: readonly Listed[]; readonly quiet: boolean } {
  const root = parseXml(text, "Delete", ELEMENTS_MAX);
  const objects = elementsIn(root, "Object");
  if (objects.length === 0) throw malformed("it lists no object");
  if (objects.length > NAMES_MAX) throw malformed(`it lists more than ${NAMES_MAX} objects`);
  return { listed: objects.map(listedIn), quiet: textIn(root, "Quiet")?.toLowerCase() === "true" };
}

function listedIn(object: XmlElement): Listed {
  const name = exactTextIn(object, "Key");
  if (name === undefined || name === "") throw malformed("an object has no Key");
  const etag = textIn(object, "ETag");
  const ifMatch = etag === undefined ? undefined : bareEtag(etag);
  return { name, versionId: textIn(object, "VersionId"), ifMatch, refused: refusalOf(object, name) };
}

function refusalOf(object: XmlElement, name: string): Failure | undefined {
  const versionId = textIn(object, "VersionId");
  if (versionId !== undefined && versionId !== "null") {
    return new Failure("InvalidArgument", "The version id is not valid: versions are not kept");
  }
  const condition = ["LastModifiedTime", "Size"].find((one) => textIn(object, one) !== undefined);
  if (condition !== undefined) return new Failure("NotImplemented", `A condition on ${condition} is not supported`);
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    return new Failure("KeyTooLongError", `The object name has more than ${NAME_BYTES_MAX} bytes`);
  }
  return undefined;
}

/** What is the store's fault fails the whole: the client sends the list again, and what is gone is gone. */
async function removeOne(needs: Needs, call: Call, bucket: string, listed: Listed): Promise<Outcome> {
  const { name, ifMatch, refused } = listed;
  if (refused !== undefined) return { listed, failure: refused };
  try {
    await needs.objects.remove(call, { bucket, name }, { ifMatch });
    return { listed, failure: undefined };
  } catch (error) {
    if (!(error instanceof Failure) || error.status >= 499) throw error;
    return { listed, failure: error };
  }
}

function outcomeElement({ listed, failure }: Outcome, quiet: boolean): string {
  const which = element("Key", listed.name) + optional("VersionId", listed.versionId);
  if (failure !== undefined) {
    return wrap("Error", which + element("Code", codeOf(failure)) + element("Message", failure.message));
  }
  return quiet ? "" : wrap("Deleted", which);
}
