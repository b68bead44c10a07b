import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codeOf } from "./contract/requests.ts";
import {
  element,
  elementIn,
  elementsIn,
  escapeXml,
  exactTextIn,
  parseXml,
  textIn,
  wrap,
  xmlDocument,
  xmlTime,
} from "./xml.ts";

describe("text in XML", () => {
  const cases: [text: string, xml: string][] = [
    ["plain", "plain"],
    [`a&b<c>d"e'f`, "a&amp;b&lt;c&gt;d&quot;e'f"],
    ["a\rb\nc\td", "a&#13;b\nc\td"],
    ["\u0001\u001f", "&#x1;&#x1f;"],
    ["\uffff\ufffe", "&#xffff;&#xfffe;"],
    ["ä🎉", "ä🎉"],
    ["]]>", "]]&gt;"],
  ];
  test.each(cases)("%j is escaped", (text, xml) => {
    expect(escapeXml(text)).toBe(xml);
    expect(element("Key", text)).toBe(`<Key>${xml}</Key>`);
  });

  test("comes back as it was, with every space and sign", () => {
    const signs = fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.string({ unit: "grapheme-ascii" }));
    const names = signs.filter((text) => text.isWellFormed() && !text.includes("\0"));
    fc.assert(
      fc.property(names, (text) => {
        const root = parseXml(xmlDocument("Root", wrap("A", element("B", text))), "Root");
        expect(elementsIn(root, "A").map((inner) => exactTextIn(inner, "B"))).toEqual([text]);
        expect(elementsIn(root, "A").map((inner) => textIn(inner, "B"))).toEqual([text.trim()]);
      }),
    );
  });

  const entities: [xml: string, text: string][] = [
    ["&amp;&lt;&gt;&quot;&apos;", "&<>\"'"],
    ["&#38;#38;", "&#38;"],
    ["&amp;lt;", "&lt;"],
    ["&#x1F600;&#128512;", "😀😀"],
    ["&#13;&#10;&#1;", "\r\n\u0001"],
    ["&#x10FFFF;", "\u{10ffff}"],
  ];
  test.each(entities)("%s is decoded once", (xml, text) => {
    expect(exactTextIn(parseXml(`<R><K>${xml}</K></R>`, "R"), "K")).toBe(text);
  });

  test.each([
    "&",
    "&amp",
    "&bogus;",
    "&eacute;",
    "&#0;",
    "&#xD800;",
    "&#x110000;",
    "&#;",
    "&#x;",
    "&#1a;",
    "a & b",
    "&&amp;",
  ])("%s is no entity, and never left out", (xml) => {
    expect(codeOf(() => exactTextIn(parseXml(`<R><K>a${xml}b</K></R>`, "R"), "K"))).toBe("MalformedXML");
  });

  test("may hold a thousand names of many entities", () => {
    const one = element("Key", '&<>"'.repeat(200));
    const root = parseXml(xmlDocument("R", wrap("O", one).repeat(1000)), "R", 3000);
    expect(new Set(elementsIn(root, "O").map((inner) => exactTextIn(inner, "Key")))).toEqual(
      new Set(['&<>"'.repeat(200)]),
    );
  });
});

test("times are whole seconds", () => expect(xmlTime(1_764_000_000_999)).toBe("2025-11-24T16:00:00.000Z"));

test("times are those of a calendar, on whichever day, before 1970 and after 9999 too", () => {
  const times = fc.integer({ min: -70_000_000_000_000, max: 8_000_000_000_000_000 });
  fc.assert(
    fc.property(fc.oneof(times, fc.constantFrom(0, -1, 999, 86_399_999, 86_400_000, -86_400_000)), (ms) => {
      expect(xmlTime(ms)).toBe(new Date(Math.floor(ms / 1000) * 1000).toISOString());
    }),
  );
});

describe("a document", () => {
  test("is read: declaration, name space, comments, numeric entities", () => {
    const text = `<?xml version="1.0" encoding="UTF-8"?>
      <Root xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><!-- one -->
        <Part><ETag>&quot;a&#45;1&#x22;</ETag><N> 1 </N></Part><Part><ETag>x</ETag></Part></Root>`;
    const parts = elementsIn(parseXml(text, "Root"), "Part");
    expect(parts.map((part) => textIn(part, "ETag"))).toEqual(['"a-1"', "x"]);
    expect(textIn(parts[0] ?? {}, "N")).toBe("1");
    expect(textIn(parts[1] ?? {}, "N")).toBeUndefined();
  });

  const refusals: Record<string, string> = {
    nothing: "",
    "no XML": "hello",
    "an element that is not closed": "<Root><a></Root>",
    "two roots": "<Root/><Root/>",
    "another root": "<Other/>",
    "a document type": '<!DOCTYPE Root [<!ENTITY a "b">]><Root>&a;</Root>',
    CDATA: "<Root><![CDATA[x]]></Root>",
    "a processing instruction": "<?php x?><Root/>",
    "a name that reaches into objects": "<Root><__proto__>x</__proto__></Root>",
    "elements without end": `<Root>${"<a>".repeat(5000)}${"</a>".repeat(5000)}</Root>`,
  };
  test.each(Object.entries(refusals))("is refused: %s", (_name, text) => {
    expect(codeOf(() => parseXml(text, "Root"))).toBe("MalformedXML");
  });

  test("is refused where one text is wanted and two come, or elements", () => {
    const root = parseXml("<Root><A>1</A><A>2</A><B><C>1</C></B><D>t</D></Root>", "Root");
    expect(codeOf(() => textIn(root, "A"))).toBe("MalformedXML");
    expect(codeOf(() => textIn(root, "B"))).toBe("MalformedXML");
    expect(codeOf(() => elementsIn(root, "D"))).toBe("MalformedXML");
    expect(codeOf(() => elementIn(parseXml("<R><A/><A/></R>", "R"), "A"))).toBe("MalformedXML");
    expect(elementIn(parseXml("<R><A> </A></R>", "R"), "A")).toEqual({});
  });

  test("is refused before it is parsed where it has more elements than it may have", () => {
    const listing = (count: number) => `<Root>${"<A>1</A>".repeat(count - 1)}</Root>`;
    expect((parseXml(listing(50), "Root", 50)["A"] ?? []).length).toBe(49);
    expect(codeOf(() => parseXml(listing(51), "Root", 50))).toBe("MalformedXML");
    expect(codeOf(() => parseXml(`<Root>${"<".repeat(2_000_000)}`, "Root"))).toBe("MalformedXML");
    expect(codeOf(() => parseXml(listing(1001), "Root"))).toBe("MalformedXML");
  });

  test("is parsed or refused, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("<", ">", "/", "a", "&", ";", "!", "-", '"', " ", "="), maxLength: 200 }),
        (text) => {
          expect(["MalformedXML", "none"]).toContain(codeOf(() => parseXml(text, "a")));
        },
      ),
    );
  });
});
