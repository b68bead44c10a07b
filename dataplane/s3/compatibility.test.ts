import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { printCompatibility } from "./compatibility.ts";
import { OPERATIONS } from "./model.ts";

const page = readFileSync(new URL("../../docs/s3-compatibility.md", import.meta.url), "utf8");

test("docs/s3-compatibility.md is what `node dataplane/s3/print.ts` prints", () => {
  expect(page).toBe(printCompatibility());
});

test("docs/s3-compatibility.md names each operation once", () => {
  const rows = [...page.matchAll(/^\| (\w+) \|/gm)].map((found) => found[1]);
  expect(rows.filter((name) => name !== "operation").sort()).toEqual([...OPERATIONS].sort());
});
