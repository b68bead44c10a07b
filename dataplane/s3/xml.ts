/**
 * XML out, laid by hand since S3's answers are flat, and XML in, by a parser that is held short: no DTD, bounded, text
 * as it stands. What elements mean is left to the operations.
 */
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { Failure } from "../failure.ts";

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** `<Name>text</Name>`, escaped. */
export function element(name: string, text: string | number | boolean): string {
  return `<${name}>${typeof text === "string" ? escapeXml(text) : text}</${name}>`;
}

/** The element, or nothing where there is no text. */
export function optional(name: string, text: string | number | undefined): string {
  return text === undefined ? "" : element(name, text);
}

/** `<Name>inner</Name>`: inner is XML already. */
export function wrap(name: string, inner: string): string {
  return `<${name}>${inner}</${name}>`;
}

/** A whole document in S3's name space: inner is XML already. */
export function xmlDocument(name: string, inner: string): string {
  return `${XML_DECLARATION}${xmlRoot(name, inner)}`;
}

/** Its root alone, for answers that have begun already. */
export function xmlRoot(name: string, inner: string): string {
  return `<${name} xmlns="${NAMESPACE}">${inner}</${name}>`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 cannot hold as they stand
const SPECIAL = /[&<>"\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
const SPECIALS = new RegExp(SPECIAL, "g");

/** `& < > "` and CR, and what XML cannot hold as it stands as a numeric reference, as S3 answers it. */
export function escapeXml(text: string): string {
  return SPECIAL.test(text) ? text.replace(SPECIALS, escapeSign) : text;
}

function escapeSign(sign: string): string {
  switch (sign) {
    case "&":
      return "&amp;";
    case "<":
      return "&lt;";
    case ">":
      return "&gt;";
    case '"':
      return "&quot;";
    default:
      return sign === "\r" ? "&#13;" : `&#x${sign.charCodeAt(0).toString(16)};`;
  }
}

const DAY_SECONDS = 86_400;
let lastDay = Number.NaN;
let lastDayText = "";

/** Times of answers: whole seconds, as LastModified is everywhere. A page has a thousand, of few days. */
export function xmlTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const day = Math.floor(seconds / DAY_SECONDS);
  if (day !== lastDay) {
    lastDayText = new Date(day * DAY_SECONDS * 1000).toISOString().slice(0, -"00:00:00.000Z".length);
    lastDay = day;
  }
  const ofDay = seconds - day * DAY_SECONDS;
  const hours = twoDigits(Math.floor(ofDay / 3600));
  return `${lastDayText}${hours}:${twoDigits(Math.floor(ofDay / 60) % 60)}:${twoDigits(ofDay % 60)}.000Z`;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/** An element that was read: text, or elements by name, each a list. */
export type XmlNode = string | XmlElement;
export interface XmlElement {
  readonly [name: string]: readonly XmlNode[];
}

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  trimValues: false,
  removeNSPrefix: true,
  ignoreDeclaration: true,
  // Done here: the parser drops what it cannot decode, and another name is another object.
  processEntities: false,
  alwaysCreateTextNode: false,
  isArray: () => true,
});

/** Of a document that lists nothing. */
const ELEMENTS_MAX = 1000;

/**
 * The root element of a document, which must have that name and no more elements than that, since nothing else is served
 * while they are parsed. Throws MalformedXML.
 */
export function parseXml(text: string, rootName: string, elementsMax = ELEMENTS_MAX): XmlElement {
  if (hasMore(text, "<", 2 * elementsMax)) throw malformed(`it has more than ${elementsMax} elements`);
  if (/<!(?!--)/.test(text)) throw malformed("a document type or CDATA is not accepted");
  if (/<\?(?!xml[ \t\r\n])/.test(text)) throw malformed("a processing instruction is not accepted");
  let parsed: Record<string, unknown>;
  try {
    if (XMLValidator.validate(text) !== true) throw malformed("it is not well-formed");
    parsed = parser.parse(text) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("MalformedXML", "The XML of the request is malformed: it cannot be parsed", { cause: error });
  }
  const roots = Object.keys(parsed);
  const found = parsed[rootName];
  if (roots.length !== 1 || !Array.isArray(found) || found.length !== 1)
    throw malformed(`its root must be ${rootName}`);
  const [root] = found as XmlNode[];
  return typeof root === "string" || root === undefined ? {} : root;
}

function hasMore(text: string, sign: string, countMax: number): boolean {
  let at = text.indexOf(sign);
  for (let count = 0; at >= 0 && count < countMax; count += 1) at = text.indexOf(sign, at + 1);
  return at >= 0;
}

/** The text of the one element of that name, without spaces around it; undefined if there is none. Throws MalformedXML for two, or for elements in it. */
export function textIn(parent: XmlElement, name: string): string | undefined {
  return exactTextIn(parent, name)?.trim();
}

/** The same with every space: names of objects and tags. */
export function exactTextIn(parent: XmlElement, name: string): string | undefined {
  const found = Object.hasOwn(parent, name) ? parent[name] : undefined;
  if (found === undefined) return undefined;
  const [text] = found;
  if (found.length !== 1 || typeof text !== "string") throw malformed(`${name} must be given once, as text`);
  return decodeEntities(text);
}

/** The elements of that name. Throws MalformedXML where one holds text. */
export function elementsIn(parent: XmlElement, name: string): readonly XmlElement[] {
  const found = Object.hasOwn(parent, name) ? (parent[name] ?? []) : [];
  return found.map((node) => {
    if (typeof node !== "string") return node;
    if (node.trim() !== "") throw malformed(`${name} must hold elements`);
    return {};
  });
}

/** The one element of that name; undefined if there is none. Throws MalformedXML for two, or for text in it. */
export function elementIn(parent: XmlElement, name: string): XmlElement | undefined {
  const found = elementsIn(parent, name);
  if (found.length > 1) throw malformed(`${name} must be given once`);
  return found[0];
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The five entities of XML and numeric ones, each once. Throws MalformedXML for any other, and for what is no character. */
function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&([^;&]*)(;?)/g, (_whole, entity: string, end: string) => {
    const named = Object.hasOwn(NAMED, entity) ? NAMED[entity] : characterOf(entity);
    if (named === undefined || end === "") throw malformed("it has an entity that is none");
    return named;
  });
}

/** Of `#13` or `#xd`: also what XML cannot hold as it stands, since names do. */
function characterOf(entity: string): string | undefined {
  const found = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(entity);
  if (found === null) return undefined;
  const point = found[1] === undefined ? Number(found[2]) : Number.parseInt(found[1], 16);
  const isSurrogate = point >= 0xd800 && point <= 0xdfff;
  return point === 0 || point > 0x10ffff || isSurrogate ? undefined : String.fromCodePoint(point);
}

export function malformed(why: string): Failure {
  return new Failure("MalformedXML", `The XML of the request is malformed: ${why}`);
}
