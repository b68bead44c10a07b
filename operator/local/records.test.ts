import { describe, expect, test } from "vitest";
import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { FolderReading } from "./folder.ts";
import { type Applied, applyFolder, type Records } from "./records.ts";
import { parseYaml } from "./yaml.ts";

const NOW = new Date("2026-03-10T12:00:00Z");
const HEAD = "apiVersion: coffer.dev/v1alpha1\n";
const PROVIDER = `${HEAD}kind: KmsProvider\nmetadata:\n  name: local\nspec:\n  type: Local\n`;
const BUCKET = `${HEAD}kind: EncryptedBucket
metadata:
  name: photos
spec:
  encryption:
    kmsProviderRef:
      name: local
`;

function reading(files: Record<string, string>): FolderReading {
  const documents: FolderReading["documents"][number][] = [];
  const broken = new Map<string, { line: number | undefined; reason: string }>();
  for (const [file, text] of Object.entries(files)) {
    const parsed = parseYaml(text);
    if ("problem" in parsed) broken.set(file, parsed.problem);
    else documents.push(...parsed.documents.map((document) => ({ file, document })));
  }
  return { documents, broken };
}

function apply(files: Record<string, string>, before: Records = new Map(), holding: string[] = []): Applied {
  return applyFolder(before, reading(files), new Set(holding), NOW);
}

function present({ records }: Applied): string[] {
  return [...records].filter(([, { isGone }]) => !isGone).map(([key]) => key);
}

describe("applyFolder()", () => {
  test("accepts every document of every file", () => {
    const applied = apply({ "a.yaml": `${PROVIDER}---\n${BUCKET}`, "b.yaml": "# nothing\n" });
    expect(present(applied)).toEqual(["KmsProvider.local", "EncryptedBucket.photos"]);
    expect(applied.refusals).toEqual([]);
    expect(applied.records.get("KmsProvider.local")).toMatchObject({
      file: "a.yaml",
      object: { metadata: { name: "local", generation: 1, creationTimestamp: "2026-03-10T12:00:00Z" } },
    });
  });

  test("counts a change of the spec as a generation, and nothing else", () => {
    const first = apply({ "a.yaml": BUCKET });
    const commented = apply({ "a.yaml": `# a comment\n${BUCKET}` }, first.records);
    expect(commented.records.get("EncryptedBucket.photos")?.object.metadata.generation).toBe(1);
    const changed = apply({ "a.yaml": `${BUCKET}    chunkSize: 16Ki\n` }, commented.records);
    expect(changed.records.get("EncryptedBucket.photos")?.object.metadata.generation).toBe(2);
  });

  const refusals: Record<string, [text: string, line: number, reason: RegExp]> = {
    "a file that is no YAML": [`${BUCKET}  bad: [\n`, 10, /./],
    "an unknown field": [`${BUCKET}  colour: red\n`, 9, /spec\.colour/],
    "a value that the schema refuses": [`${BUCKET}    chunkSize: 17Ki\n`, 9, /chunkSize/],
    "a kind that does not exist": [`${HEAD}kind: EncryptedBukket\nmetadata:\n  name: photos\n`, 2, /EncryptedBukket/],
    "a document that is no mapping": ["- a\n- b\n", 1, /is no resource/],
    "a document without a name": [`${HEAD}kind: KmsProvider\nmetadata: {}\n`, 3, /metadata\.name is missing/],
    "a document without apiVersion": ["kind: KmsProvider\n", 1, /apiVersion is missing/],
    "a key that stands twice": [`${BUCKET}kind: EncryptedBucket\n`, 9, /unique/i],
    "a second document of one resource": [`${BUCKET}---\n${BUCKET}`, 13, /stands already in a\.yaml:1/],
  };
  test.each(Object.entries(refusals))("refuses %s with its line and reason", (_sentence, [text, line, reason]) => {
    const { refusals: found } = apply({ "a.yaml": text, "z.yaml": PROVIDER });
    expect(found[0]).toMatchObject({ file: "a.yaml", line });
    expect(found[0]?.reason).toMatch(reason);
    expect(present(apply({ "a.yaml": text, "z.yaml": PROVIDER }))).toContain("KmsProvider.local");
  });

  test("leaves a resource as it was when its document is refused, and takes the others of its file", () => {
    const first = apply({ "a.yaml": BUCKET });
    const broken = apply({ "a.yaml": `${BUCKET}    chunkSize: 17Ki\n---\n${PROVIDER}` }, first.records);
    expect(present(broken)).toEqual(["EncryptedBucket.photos", "KmsProvider.local"]);
    const bucket = broken.records.get("EncryptedBucket.photos")?.object as EncryptedBucket;
    expect(bucket.spec.encryption.chunkSize).toBe("64Ki");
  });

  test.each([
    ["no YAML", "a: ["],
    ["no resource that can be told apart", "apiVersion: coffer.dev/v1alpha1\n"],
  ])("keeps all that stood in a file that is %s", (_sentence, text) => {
    const first = apply({ "a.yaml": `${PROVIDER}---\n${BUCKET}`, "b.yaml": "" });
    const broken = apply({ "a.yaml": text }, first.records);
    expect(present(broken)).toEqual(["KmsProvider.local", "EncryptedBucket.photos"]);
    expect(broken.gone).toEqual([]);
  });

  test("refuses to change what is immutable", () => {
    const first = apply({ "a.yaml": `${BUCKET}    context:\n      a: b\n` });
    const changed = apply({ "a.yaml": `${BUCKET}    context:\n      a: c\n` }, first.records);
    expect(changed.refusals).toMatchObject([{ reason: expect.stringContaining("context is immutable") }]);
  });

  test("keeps a resource that is gone as gone, tells it once, and goes on with its status when it is back", () => {
    const first = apply({ "a.yaml": `${PROVIDER}---\n${BUCKET}` });
    const gone = apply({ "a.yaml": PROVIDER }, first.records);
    expect(gone.gone.map(({ metadata }) => metadata.name)).toEqual(["photos"]);
    expect(present(gone)).toEqual(["KmsProvider.local"]);
    expect(apply({ "a.yaml": PROVIDER }, gone.records).gone).toEqual([]);
    const object = gone.records.get("EncryptedBucket.photos")?.object as EncryptedBucket;
    const marked = new Map(gone.records);
    marked.set("EncryptedBucket.photos", {
      object: { ...object, status: { ...object.status, bucketName: "photos" } },
      file: "a.yaml",
      isGone: true,
    });
    const back = apply({ "b.yaml": `${BUCKET}    context:\n      a: b\n` }, marked);
    expect(back.refusals).toEqual([]);
    expect(back.records.get("EncryptedBucket.photos")).toMatchObject({
      isGone: false,
      file: "b.yaml",
      object: { metadata: { generation: 2 }, status: { bucketName: "photos" } },
    });
  });

  test("waits for files that are held", () => {
    const first = apply({ "a.yaml": BUCKET });
    expect(apply({}, first.records, ["a.yaml"]).gone).toEqual([]);
    expect(apply({}, first.records).gone).toHaveLength(1);
  });

  test("lets a resource move from one file to another", () => {
    const first = apply({ "a.yaml": BUCKET });
    const moved = apply({ "b.yaml": BUCKET }, first.records);
    expect(moved.gone).toEqual([]);
    expect(moved.records.get("EncryptedBucket.photos")?.file).toBe("b.yaml");
  });

  test("reads Secrets and ConfigMaps, and passes over what is somebody else's", () => {
    const secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\ndata:\n  a: aGk=\nstringData:\n  b: plain\n";
    const map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\ndata:\n  c: text\n";
    const pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n";
    const applied = apply({ "a.yaml": [secret, map, pod].join("---\n") });
    const values = applied.secrets.map(({ kind, name, values: of }) => [
      kind,
      name,
      Object.fromEntries([...of].map(([key, bytes]) => [key, Buffer.from(bytes).toString()])),
    ]);
    expect(values).toEqual([
      ["Secret", "s", { a: "hi", b: "plain" }],
      ["ConfigMap", "m", { c: "text" }],
    ]);
    expect(applied.refusals).toEqual([]);
    const bad = apply({ "a.yaml": secret.replace("aGk=", "not base64!") });
    expect(bad.refusals).toMatchObject([{ line: 6, reason: "data.a: must be base64" }]);
  });
});
