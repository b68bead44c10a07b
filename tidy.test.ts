// The rules of the house, held against every file of it. The rules themselves are in tidy/: rooms.ts is the table to
// read and to change. Below, each rule also meets a mistake that it must find, or it would be silent for the wrong reason.

import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { arrowProblems, cycleProblems, tableProblems } from "./tidy/arrows.ts";
import { ROOMS } from "./tidy/rooms.ts";
import { readSource, type SourceFile } from "./tidy/source.ts";
import { contractProblems, lengthProblems, mapProblems, nameProblems, wordProblems } from "./tidy/words.ts";

const IGNORED = /(^|\/)(node_modules|data|secrets|\.[^/]+)(\/|$)/;

function projectPaths(): readonly string[] {
  const root = import.meta.dirname;
  return globSync("**/*.{ts,md,yaml,json}", { cwd: root, exclude: (path) => IGNORED.test(path) })
    .map((path) => path.replaceAll("\\", "/"))
    .sort();
}

const paths = projectPaths();
const files = paths
  .filter((path) => path.endsWith(".ts"))
  .map((path) => readSource(path, readFileSync(new URL(path, import.meta.url), "utf8")));

/** So that a failure prints the messages, one a line, and nothing else. */
function expectNone(problems: readonly string[]): void {
  expect(problems.join("\n")).toBe("");
}

describe("the house", () => {
  test("is read at all", () => {
    expect(files.length).toBeGreaterThan(100);
    expect(files.flatMap((file) => file.imports).length).toBeGreaterThan(400);
  });
  test("has arrows that lead one way only", () => expectNone(tableProblems(ROOMS)));
  test("has imports that follow the arrows, the doors and the packages of the table", () =>
    expectNone(arrowProblems(files)));
  test("has no two files that import each other", () => expectNone(cycleProblems(files)));
  test("keeps clocks, ciphers, the environment and printing where they belong", () => expectNone(wordProblems(files)));
  test("has no file that is too long", () => expectNone(lengthProblems(files)));
  test("has no file or folder without a name of its own", () => expectNone(nameProblems(paths)));
  test("runs the contract of its port beside each adapter", () => expectNone(contractProblems(files)));
  test("stands in the README's map", () =>
    expectNone(mapProblems(paths, readFileSync(new URL("README.md", import.meta.url), "utf8"))));
});

function tree(sources: Readonly<Record<string, string>>): readonly SourceFile[] {
  return Object.entries(sources).map(([path, text]) => readSource(path, text));
}

/** What a file imports, as a project that has the imported file too. */
function importing(from: string, specifier: string, target: string): readonly SourceFile[] {
  return tree({ [from]: `import type { X } from "${specifier}";\n`, [target]: "export type X = 1;\n" });
}

describe("the checker finds", () => {
  const arrows: Readonly<Record<string, readonly [SourceFile[] | readonly SourceFile[], string]>> = {
    "an arrow that the table has not": [
      importing("dataplane/access/access.ts", "../objects/objects.ts", "dataplane/objects/objects.ts"),
      "dataplane/access/access.ts:1 imports dataplane/objects/objects.ts, but dataplane/access/ may import only dataplane/config/. Turn the arrow",
    ],
    "a protocol that imports another": [
      importing("dataplane/s3/get.ts", "../rest/api.ts", "dataplane/rest/api.ts"),
      "dataplane/s3/get.ts:1 imports dataplane/rest/api.ts, but dataplane/s3/ may import only",
    ],
    "a private file of another room": [
      importing("dataplane/jobs/jobs.ts", "../objects/records.ts", "dataplane/objects/records.ts"),
      "which is private to dataplane/objects/. Its doors: dataplane/objects/objects.ts.",
    ],
    "an adapter that is not opened through its opener": [
      importing("kms/resilience.ts", "./local.ts", "kms/local.ts"),
      "imports the adapter kms/local.ts. Open it through kms/open.ts",
    ],
    "the data plane's inside in the operator": [
      importing("operator/pods.ts", "../dataplane/snapshot.ts", "dataplane/snapshot.ts"),
      "operator/pods.ts:1 imports dataplane/snapshot.ts",
    ],
    "a main.ts that is imported": [
      importing("operator/local/child.ts", "../../dataplane/main.ts", "dataplane/main.ts"),
      "A main.ts only wires",
    ],
    "a main.ts that is started by whom it does not concern": [
      tree({
        "dataplane/jobs/a.ts": 'spawn(new URL("../../operator/local/main.ts", import.meta.url));',
        "operator/local/main.ts": "",
      }),
      "A main.ts only wires",
    ],
    "three levels up": [
      importing("dataplane/objects/contract/a.ts", "../../../kms/kms.ts", "kms/kms.ts"),
      "climbs three levels to kms/kms.ts",
    ],
    "a test's file in a program": [
      importing("dataplane/objects/put.ts", "../storage/contract/suite.ts", "dataplane/storage/contract/suite.ts"),
      "which is for tests",
    ],
    "an end-to-end test that looks inside": [
      importing("e2e/a.test.ts", "../envelope/sizes.ts", "envelope/sizes.ts"),
      "An end-to-end test is a client",
    ],
    "a package in the wrong room": [
      tree({ "envelope/small.ts": 'import { crc32c } from "hash-wasm";\n' }),
      "envelope/small.ts:1 loads the package hash-wasm, which envelope/ may not. Ask dataplane/objects/, which has it.",
    ],
    "a package loaded late": [
      tree({ "kms/open.ts": 'const sdk = () => import("@aws-sdk/client-kms");\n' }),
      "loads the package @aws-sdk/client-kms",
    ],
    "a file system in the format": [
      tree({ "envelope/small.ts": 'import { open } from "node:fs/promises";\n' }),
      "loads node:fs/promises, but envelope/ keeps to node:crypto.",
    ],
    "a process started in the data plane": [
      tree({ "dataplane/objects/put.ts": 'import { spawn } from "node:child_process";\n' }),
      "loads node:child_process, which only",
    ],
    "a file that is in no room": [tree({ "attic/box.ts": "" }), "attic/box.ts:1 stands in no room."],
    "an arrow in a re-export over several lines": [
      tree({ "envelope/small.ts": '// x\nexport {\n  a,\n} from "../kms/kms.ts";\n', "kms/kms.ts": "" }),
      "envelope/small.ts:4 imports kms/kms.ts",
    ],
    "an arrow in a worker's address": [
      tree({
        "dataplane/http/a.ts": 'new Worker(new URL("../jobs/jobs.ts", import.meta.url));',
        "dataplane/jobs/jobs.ts": "",
      }),
      "dataplane/http/a.ts:1 imports dataplane/jobs/jobs.ts",
    ],
  };
  for (const [name, [planted, message]] of Object.entries(arrows)) {
    test(name, () => {
      const problems = arrowProblems(planted);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(message);
    });
  }

  test("a circle of files, types too", () => {
    const planted = tree({
      "kms/a.ts": 'import { b } from "./b.ts";',
      "kms/b.ts": 'import { c } from "./c.ts";',
      "kms/c.ts": 'import type { A } from "./a.ts";',
    });
    expect(cycleProblems(planted)).toEqual([
      "kms/a.ts → kms/b.ts → kms/c.ts → kms/a.ts is a circle of imports. Move what both ends need into a file that imports neither.",
    ]);
  });
  test("a circle of rooms, a room that is none, and one that stands twice", () => {
    const room = { doors: "all", packages: [] } as const;
    const rooms = [
      { ...room, name: "a/", files: /^a\//, imports: ["b/b.ts"] },
      { ...room, name: "b/", files: /^b\//, imports: ["a/", "c/"] },
      { ...room, name: "a/", files: /^a\//, imports: ["b/b.ts"] },
    ];
    const problems = tableProblems(rooms);
    expect(problems[0]).toContain("b/ may import c/, which is no room.");
    expect(problems[1]).toContain("a/ stands twice");
    expect(problems[2]).toContain("a/ → b/ → a/ is a circle of rooms.");
  });

  const words: Readonly<Record<string, readonly [string, string, string]>> = {
    "the environment read in the middle": ["dataplane/objects/put.ts", "process.env.HOME", "reads the environment"],
    "a cipher outside the format": ["dataplane/keys/keys.ts", "createCipheriv('x')", "encrypts or derives keys"],
    "a joined body": ["dataplane/s3/body.ts", "Buffer.concat(parts)", "joins buffers"],
    "a clock in a plan": ["operator/encryptedbucket/plan.ts", "const now = Date.now();", "has a clock"],
    "today in a plan": ["operator/encryptedbucket/plan.ts", "const now = new Date();", "has a clock"],
    "a timer in access": ["dataplane/access/access.ts", "setTimeout(f, 1)", "has a clock, a timer"],
    "randomness in the compiler": ["operator/compile/store.ts", "randomBytes(4)", "has a clock, a timer, randomness"],
    "printing in a test": ["kms/kms.test.ts", "console.log(1)", "prints"],
    "weak randomness": ["e2e/a.test.ts", "Math.random()", "draws weak random numbers"],
    "something left for later": ["kms/kms.ts", `// ${"FIX"}${"ME"}: later`, "leaves something for later"],
    "an offence inside a template": ["crds/a.ts", `const a = \`\${Math.random()}\`;`, "draws weak random numbers"],
  };
  for (const [name, [path, text, message]] of Object.entries(words)) {
    test(name, () => {
      const problems = wordProblems(tree({ [path]: `\n${text}\n` }));
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(`${path}:2 ${message}`);
    });
  }

  test("a file of 401 lines, and none of 400", () => {
    expect(lengthProblems(tree({ "kms/a.ts": "x\n".repeat(400) }))).toEqual([]);
    expect(lengthProblems(tree({ "kms/a.ts": "x\n".repeat(401) }))[0]).toContain("kms/a.ts:400 has 401 lines");
    expect(lengthProblems(tree({ "kms/a.test.ts": "x\n".repeat(401) }))).toEqual([]);
  });
  test("names that say nothing", () => {
    const bad = ["kms/utils.ts", "shared/a.ts", "dataplane/types.ts", "crds/index.ts", "kms/helpers/a.ts"];
    expect(nameProblems([...bad, "dataplane/http/table.ts", "crds/kind.ts"])).toHaveLength(bad.length);
  });
  test("an adapter that runs no contract", () => {
    const adapter = { "kms/local.ts": "", "kms/contract/contract.ts": "" };
    expect(contractProblems(tree(adapter))).toHaveLength(1);
    expect(contractProblems(tree({ ...adapter, "kms/local.test.ts": 'import "./kms.ts";' }))).toHaveLength(1);
    const tested = { ...adapter, "kms/local.test.ts": 'import { kmsContract } from "./contract/contract.ts";' };
    expect(contractProblems(tree(tested))).toEqual([]);
  });
  test("a room that the README does not show", () => {
    const problems = mapProblems(["kms/kms.ts", "dataplane/http/table.ts", "dataplane/main.ts"], "`kms/` `dataplane/`");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("README.md:1 does not show http/");
  });
});

describe("the checker lets pass", () => {
  test("arrows, doors and packages of the table", () => {
    const planted = tree({
      "dataplane/jobs/jobs.ts": 'import { a } from "../objects/objects.ts";\nimport "node:crypto";',
      "dataplane/objects/objects.ts": 'import { crc32c } from "hash-wasm";',
      "kms/open.ts": 'const adapter = () => import("./local.ts");',
      "kms/local.ts": "",
      "operator/local/child.ts": 'spawn(fileURLToPath(new URL("../../dataplane/main.ts", import.meta.url)));',
      "dataplane/main.ts": "",
      "kms/open.test.ts": 'import fc from "fast-check";\nimport { local } from "./local.ts";',
    });
    expect(arrowProblems(planted)).toEqual([]);
  });
  test("words in comments, strings and regular expressions", () => {
    const text = [
      "// console.log and Math.random",
      "/* Date.now() */ const a = 'new Date()' + \"console.log\";",
      `const b = /console.log['"\`]/.test(a) ? 1 / 2 : 3 / \`Math.random \${a} console.log\`.length;`,
      `const c = { d: \`a\${{ e: '}' }.e}b console.log\` };`,
    ].join("\n");
    expect(wordProblems(tree({ "crds/a.ts": text }))).toEqual([]);
  });
  test("imports that are text", () => {
    const planted = tree({ "envelope/a.ts": "// import 'x'\nconst a = 'import x from \"y\"'; Array.from('z');" });
    expect(planted[0]?.imports).toEqual([]);
  });
});
