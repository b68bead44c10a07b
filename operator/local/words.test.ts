// What `npm start` understands and says.

import { describe, expect, test } from "vitest";
import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { type Given, tries, urlsOf, welcome } from "./hints.ts";
import { parseSettings } from "./settings.ts";
import { chooseStore, missingStore } from "./stores.ts";
import type { Terminal } from "./terminal.ts";
import { createWarnings } from "./warnings.ts";
import { parseYaml } from "./yaml.ts";

describe("parseSettings()", () => {
  test("has a default for everything", () => {
    const parsed = parseSettings([], {});
    expect(parsed).toMatchObject({ kind: "run", settings: { ports: { s3: 9000, rest: 8080, admin: 9090 } } });
    expect(parsed.kind === "run" && parsed.settings.folder).toMatch(/\/examples\/quickstart$/);
  });

  test("shows its help, whatever else is wrong", () => {
    expect(parseSettings(["--help"], { COFFER_S3_PORT: "x" })).toEqual({ kind: "help" });
  });

  test("names everything that is wrong at once", () => {
    const environment = { COFFER_S3_PORT: "0", COFFER_REST_PORT: "9000", COFFER_ADMIN_PORT: "ninety" };
    const parsed = parseSettings(["--fast", "a", "b"], environment);
    expect(parsed.kind === "wrong" && parsed.problems).toEqual([
      "There is no option --fast",
      "Give one folder",
      "COFFER_S3_PORT must be a port from 1 to 65535",
      "COFFER_ADMIN_PORT must be a port from 1 to 65535",
      "S3, REST and admin need a port each",
    ]);
  });

  test.each([
    ["data/secrets", false],
    ["data", false],
    ["data-secrets", true],
    ["..secrets", true],
  ])("takes %s for the secrets beside data: %s", (secrets, isTaken) => {
    const parsed = parseSettings([], { COFFER_DATA_DIR: "data", COFFER_SECRETS_DIR: secrets });
    expect(parsed.kind).toBe(isTaken ? "run" : "wrong");
  });
});

describe("welcome()", () => {
  const urls = urlsOf({ s3: 9000, rest: 8080, admin: 9090 });
  const given: Given = { bucket: "photos", entry: "app", permissions: ["Read", "Write"], path: "data/access/x.env" };

  test("says where it listens and where credentials are, and what to try with the best of them", () => {
    const lines = welcome(urls, [{ ...given, permissions: ["List"], path: "data/access/list.env" }, given]).join("\n");
    expect(lines).toContain("http://127.0.0.1:9000");
    expect(lines).toContain("data/access/list.env   (List)");
    expect(lines).toContain("set -a; . data/access/x.env; set +a");
  });

  test("tells who makes buckets, and begins with one where there is no other", () => {
    const maker: Given = { bucket: undefined, entry: "team", permissions: [], path: "data/access/default-team.env" };
    const lines = welcome(urls, [maker]);
    expect(lines).toContain("  self-service, team: data/access/default-team.env   (makes buckets)");
    const tried = lines.slice(lines.indexOf("Try it:") + 2);
    expect(tried[0]).toBe("  set -a; . data/access/default-team.env; BUCKET_NAME=my-first-bucket; set +a");
    expect(tried[1]).toMatch(/curl -fsS -X PUT .*\$COFFER_REST_URL\/api\/v1\/buckets\/\$BUCKET_NAME"$/);
    expect(welcome(urls, [maker, given]).join("\n")).not.toContain("my-first-bucket");
  });

  test("has nothing to try without credentials", () => {
    expect(welcome(urls, []).join("\n")).not.toContain("Try it");
  });

  test("quotes a path as a shell takes it", () => {
    expect(tries("/tmp/it's here/x.env")[0]).toBe(`set -a; . '/tmp/it'\\''s here/x.env'; set +a`);
  });
});

describe("createWarnings()", () => {
  function collect(chunks: readonly string[], nowMs = () => 1_000_000): string[] {
    const said: string[] = [];
    const terminal: Terminal = { say: (line) => said.push(line), warn: (line) => said.push(line) };
    const warnings = createWarnings(terminal, "events.log", nowMs);
    for (const chunk of chunks) warnings.take(Buffer.from(chunk));
    warnings.flush();
    return said;
  }
  const event = (level: string, message: string, more: object = {}) =>
    `${JSON.stringify({ level, message, ...more })}\n`;

  test("shows warnings and errors with their fields and their cause's first line, and nothing else", () => {
    const cause = "StorageError: full\n    at x";
    expect(collect([event("info", "a"), event("error", "b", { bucket: "photos", timestamp: "t", cause })])).toEqual([
      'data plane: b bucket="photos" StorageError: full',
    ]);
  });

  test("shows what a runtime says that fails, without its stack, also without an end of line", () => {
    expect(collect(["TypeError: x is not\n    at y (z.ts:1)\nNode.js v26\nlast"])).toEqual([
      "data plane: TypeError: x is not",
      "data plane: last",
    ]);
  });

  test("puts lines together that come in pieces", () => {
    const text = event("warn", "whole");
    expect(collect([...text])).toEqual(["data plane: whole"]);
  });

  test("says a thing once in a while, and not too many of them", () => {
    let nowMs = 1_000_000;
    const same = Array.from({ length: 5 }, () => event("warn", "same"));
    expect(collect(same)).toHaveLength(1);
    expect(collect(same, () => (nowMs += 11_000))).toHaveLength(5);
    const many = collect(Array.from({ length: 50 }, (_, index) => event("warn", `number ${index}`)));
    expect(many).toHaveLength(11);
    expect(many.at(-1)).toBe("data plane: more stands in events.log");
  });
});

describe("chooseStore()", () => {
  const NOW = new Date(0);
  const store = (name: string, created: string, endpoints?: object) =>
    ({ metadata: { name, creationTimestamp: created }, status: { endpoints } }) as EncryptedStore;
  const bucket = (store?: string) =>
    ({ metadata: { name: "b" }, spec: store === undefined ? {} : { storeRef: { name: store } } }) as EncryptedBucket;

  test("makes the default for a bucket that names none, and for no other", () => {
    expect(chooseStore([], [bucket()], NOW)).toMatchObject({ isNew: true, store: { metadata: { name: "default" } } });
    expect(chooseStore([], [bucket("main")], NOW)).toMatchObject({ isNew: false, store: undefined });
  });

  test("keeps the one that ran before, else the older, and refuses the others", () => {
    const older = store("a", "2026-01-01T00:00:00Z");
    const newer = store("b", "2026-01-02T00:00:00Z");
    expect(chooseStore([newer, older], [bucket()], NOW)).toMatchObject({ isNew: false, store: older });
    expect([...chooseStore([newer, older], [], NOW).refused.keys()]).toEqual(["b"]);
    const running = store("b", "2026-01-02T00:00:00Z", { s3: "", rest: "" });
    expect(chooseStore([older, running], [], NOW).store).toBe(running);
  });

  test("has words for a bucket of another store", () => {
    const main = store("main", "");
    expect(missingStore(bucket("main"), main)).toBeUndefined();
    expect(missingStore(bucket(), main)).toContain('npm start runs one store, "main"');
    expect(missingStore(bucket("main"), undefined)).toContain("does not exist");
  });
});

describe("parseYaml()", () => {
  const text = `# first
kind: A
spec:
  list:
    - name: one
      value: 1
    - name: two
  "odd.key": x
---
kind: B
`;
  const parsed = parseYaml(text);
  const documents = "documents" in parsed ? parsed.documents : [];

  test.each([
    ["kind", 2],
    ["spec", 3],
    ["spec.list[1].name", 7],
    ["spec.list[0].value", 6],
    ["spec.list[0].missing", 5],
    ["spec.missing.deeper", 3],
    ["", 2],
  ])("finds %s in its line", (path, line) => {
    expect(documents[0]?.lineOf(path)).toBe(line);
  });

  test("counts the lines of a later document from the top of the file", () => {
    expect(documents[1]).toMatchObject({ line: 10, value: { kind: "B" } });
  });

  test.each([[""], ["# nothing\n"], ["---\n---\n"]])("finds no document in %j", (empty) => {
    expect(parseYaml(empty)).toEqual({ documents: [] });
  });

  test("does not follow aliases without end", () => {
    const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
    for (const [name, before] of ["ba", "cb", "dc", "ed", "fe"].map((pair) => [...pair])) {
      bomb.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(", ")}]`);
    }
    expect(parseYaml(bomb.join("\n"))).toMatchObject({ problem: { reason: expect.stringMatching(/alias/i) } });
  });
});
