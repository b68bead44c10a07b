// Every resource below examples/ is one that the API accepts.

import { globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { API_VERSION } from "./names.ts";
import { validate } from "./validate.ts";

const FOLDER = new URL("../examples/", import.meta.url).pathname;

interface Document {
  readonly apiVersion: string;
  readonly kind: string;
}

function resourcesOf(file: string): Document[] {
  const documents = parseAllDocuments(readFileSync(`${FOLDER}${file}`, "utf8"));
  return documents
    .map((document) => document.toJS() as Document)
    .filter(({ apiVersion }) => apiVersion === API_VERSION);
}

const files = globSync("**/*.yaml", { cwd: FOLDER }).sort();

describe("examples", () => {
  it.each(files)("%s is accepted", (file) => {
    for (const resource of resourcesOf(file)) {
      expect(validate(resource)).toHaveProperty("object");
    }
  });

  it("begin with a provider and a bucket", () => {
    const kinds = files.filter((file) => file.startsWith("quickstart/")).flatMap(resourcesOf);
    expect(kinds.map(({ kind }) => kind).sort()).toEqual(["EncryptedBucket", "KmsProvider"]);
  });
});
