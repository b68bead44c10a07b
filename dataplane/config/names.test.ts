import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { NAMES, ROWS, WHEREABOUTS } from "./names.ts";

const page = readFileSync(new URL("../../docs/standalone.md", import.meta.url), "utf8");
const lines = page.split("\n").filter((line) => line.startsWith("| `"));

test.each(NAMES)("docs/standalone.md tells of %s, and whether it is RustFS's name too", (name) => {
  const { at, also, variable, rustfs } = ROWS[name];
  const line = lines.find((one) => one.startsWith(`| \`${at}\``)) ?? "";
  const [, names = "", variables = "", star = ""] = line.split("|");
  expect(variables.trim()).toBe(`\`COFFER_${variable}\``);
  expect(star.trim()).toBe(rustfs ? "\\*" : "");
  for (const other of also) expect(names).toContain(other.slice(other.indexOf(".") + 1));
});

test("docs/standalone.md tells of no other setting", () => {
  expect(lines).toHaveLength(NAMES.length);
});

test("docs/standalone.md tells where the process runs", () => {
  for (const name of WHEREABOUTS) expect(page).toContain(name);
});
