/** GetObjectAttributes: of what is known of an object, what the request names. */
import { Failure } from "../failure.ts";
import type { ObjectInfo, StoredPart } from "../objects/objects.ts";
import { checksumText, checksumType, sendXml } from "./answers.ts";
import { checkNoEncryption } from "./encryption.ts";
import { wholeNumber } from "./fields.ts";
import { decided, type Handle, objectOf } from "./handling.ts";
import type { Target } from "./target.ts";
import { readConditions } from "./wanted.ts";
import { element, wrap, xmlDocument } from "./xml.ts";

const ATTRIBUTES = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"] as const;
type Attribute = (typeof ATTRIBUTES)[number];
const PARTS_MAX = 1000;

interface PartsWanted {
  readonly after: number;
  readonly limit: number;
}

export const getObjectAttributes: Handle = async (needs, call, { target, answer }) => {
  const { ref, attributes, partsWanted, conditions } = decided(needs, call, target, "ReadObject", () => {
    checkNoEncryption(target.fields);
    return {
      ref: objectOf(target),
      attributes: attributesOf(target),
      partsWanted: partsWantedOf(target),
      conditions: readConditions(target.fields),
    };
  });
  const { info, parts } = await needs.objects.storedParts(call, ref, conditions);
  const inner = {
    ETag: () => element("ETag", info.etag),
    Checksum: () => checksumElement(info),
    ObjectParts: () => (info.partsCount === undefined ? "" : partsElement(info.partsCount, parts, partsWanted)),
    StorageClass: () => element("StorageClass", "STANDARD"),
    ObjectSize: () => element("ObjectSize", info.sizeBytes),
  } satisfies Readonly<Record<Attribute, () => string>>;
  answer.setHeader("Last-Modified", new Date(info.modifiedMs).toUTCString());
  const wanted = ATTRIBUTES.filter((attribute) => attributes.has(attribute));
  sendXml(answer, xmlDocument("GetObjectAttributesResponse", wanted.map((one) => inner[one]()).join("")));
};

function attributesOf(target: Target): ReadonlySet<string> {
  const listed = (target.fields.get("x-amz-object-attributes") ?? "").split(",").map((name) => name.trim());
  const named = listed.filter((name) => name !== "");
  const unknown = named.some((name) => !ATTRIBUTES.some((attribute) => attribute === name));
  if (named.length === 0 || unknown) {
    throw new Failure("InvalidArgument", `x-amz-object-attributes must name some of ${ATTRIBUTES.join(", ")}`);
  }
  return new Set(named);
}

function partsWantedOf(target: Target): PartsWanted {
  const number = (name: string, absent: number): number => {
    const text = target.fields.get(name);
    if (text === undefined) return absent;
    const value = wholeNumber(text.trim());
    if (value === undefined) throw new Failure("InvalidArgument", `The header ${name} must be a whole number`);
    return value;
  };
  return {
    after: number("x-amz-part-number-marker", 0),
    limit: Math.min(number("x-amz-max-parts", PARTS_MAX), PARTS_MAX),
  };
}

function checksumElement({ checksums }: ObjectInfo): string {
  const [first] = checksums;
  if (first === undefined) return "";
  const values = checksums.map((checksum) => element(`Checksum${checksum.algorithm}`, checksumText(checksum)));
  return wrap("Checksum", values.join("") + element("ChecksumType", checksumType(first.kind)));
}

/** Parts are listed one by one only where each has a checksum to tell. */
function partsElement(count: number, parts: readonly StoredPart[], { after, limit }: PartsWanted): string {
  const summed = parts.filter(({ partNumber, checksum }) => checksum !== undefined && partNumber > after);
  const page = summed.slice(0, limit);
  const truncated = page.length < summed.length;
  const inner = [
    element("PartsCount", count),
    element("PartNumberMarker", after),
    element("NextPartNumberMarker", truncated ? (page.at(-1)?.partNumber ?? after) : 0),
    element("MaxParts", limit),
    element("IsTruncated", truncated),
    ...page.map((part) => wrap("Part", partElement(part))),
  ];
  return wrap("ObjectParts", inner.join(""));
}

function partElement({ partNumber, sizeBytes, checksum }: StoredPart): string {
  const sum = checksum === undefined ? "" : element(`Checksum${checksum.algorithm}`, checksumText(checksum));
  return element("PartNumber", partNumber) + element("Size", sizeBytes) + sum;
}
