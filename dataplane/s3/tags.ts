/** Tags of an object as the header `x-amz-tagging` gives them, and their XML. */
import { Failure } from "../failure.ts";
import { decodeQuery } from "../http/target.ts";
import { element, elementIn, elementsIn, exactTextIn, malformed, parseXml, wrap } from "./xml.ts";

const TAGS_MAX = 10;
const NAME_UNITS_MAX = 128;
const VALUE_UNITS_MAX = 256;
const RESERVED = /^aws:/i;
const CONTROL = /\p{Cc}/u;
const NO_TAGS: ReadonlyMap<string, string> = new Map();

/** From the form of a query. Throws InvalidTag for too many, too long, one name twice, or a name or value that no tag has. */
export function tagsOf(header: string | undefined): ReadonlyMap<string, string> {
  return header === undefined || header === "" ? NO_TAGS : checkedTags(decoded(header));
}

/** From `<Tagging>`. Throws MalformedXML, and InvalidTag as above. */
export function tagsIn(xml: string): ReadonlyMap<string, string> {
  const tagSet = elementIn(parseXml(xml, "Tagging"), "TagSet");
  if (tagSet === undefined) throw malformed("it has no TagSet");
  return checkedTags(
    elementsIn(tagSet, "Tag").map((tag) => {
      const [name, value] = [exactTextIn(tag, "Key"), exactTextIn(tag, "Value")];
      if (name === undefined || value === undefined) throw malformed("a tag has no Key or no Value");
      return [name, value];
    }),
  );
}

function checkedTags(pairs: readonly (readonly [name: string, value: string])[]): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (name === "" || name.length > NAME_UNITS_MAX || value.length > VALUE_UNITS_MAX) {
      throw new Failure("InvalidTag", "A tag has 1 to 128 characters of name and at most 256 of value");
    }
    if (RESERVED.test(name)) throw new Failure("InvalidTag", "The name of a tag must not begin with aws:");
    if (CONTROL.test(name) || CONTROL.test(value)) {
      throw new Failure("InvalidTag", "A tag must not hold a control character");
    }
    if (tags.has(name)) throw new Failure("InvalidTag", "A tag may be given only once");
    tags.set(name, value);
  }
  if (tags.size > TAGS_MAX) throw new Failure("InvalidTag", `An object may have at most ${TAGS_MAX} tags`);
  return tags;
}

function decoded(header: string): [string, string][] {
  try {
    return decodeQuery(header);
  } catch (cause) {
    throw new Failure("InvalidArgument", "The header x-amz-tagging is not encoded like a query", { cause });
  }
}

/** `<TagSet>` of an answer. */
export function tagSet(tags: ReadonlyMap<string, string>): string {
  const each = [...tags].map(([name, value]) => wrap("Tag", element("Key", name) + element("Value", value)));
  return wrap("TagSet", each.join(""));
}
