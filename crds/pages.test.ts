// The pages of docs/ and the chart say what the definitions say.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { printCrd } from "./crd.ts";
import { KINDS } from "./kinds.ts";
import { API_VERSION } from "./names.ts";
import { fillPage, pageOf } from "./pages.ts";
import { BESIDE_READY, type KindName, READY_PARTS } from "./reasons.ts";
import { validate } from "./validate.ts";

const KIND_NAMES = Object.keys(KINDS) as KindName[];

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

/** The resources of ours in the YAML blocks of a page. */
function examplesOf(page: string): { readonly kind: string; readonly apiVersion: string }[] {
  const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, block = ""]) => block);
  return blocks
    .flatMap((block) => parseAllDocuments(block))
    .map((document) => document.toJS() as { kind: string; apiVersion: string })
    .filter(({ apiVersion }) => apiVersion === API_VERSION);
}

describe.each(KIND_NAMES)("%s", (kind) => {
  const page = read(`docs/${pageOf(kind)}`);

  it("has in its page what `node crds/print.ts` prints", () => {
    expect(page).toBe(fillPage(kind, page));
  });

  it("has in its page every field of the spec, every column and every condition", () => {
    for (const condition of [...READY_PARTS[kind], ...BESIDE_READY[kind]]) expect(page).toContain(`\`${condition}\``);
    for (const { name } of KINDS[kind].columns) expect(page).toContain(`| ${name.toUpperCase()} |`);
    for (const field of Object.keys(KINDS[kind].spec.properties)) expect(page).toContain(`| \`${field}\` |`);
  });

  it("has in its page examples that the API accepts, of that kind among them", () => {
    const examples = examplesOf(page);
    expect(examples.map((example) => example.kind)).toContain(kind);
    for (const example of examples) expect(validate(example)).toHaveProperty("object");
  });

  it("stands in the chart as it stands in crds/", () => {
    expect(read(`charts/coffer/definitions/${kind.toLowerCase()}.yaml`)).toBe(printCrd(kind));
  });
});

it("fillPage() fails where a page has no place for a part", () => {
  expect(() => fillPage("KmsProvider", "# Nothing\n")).toThrow("has no place for fields");
});
