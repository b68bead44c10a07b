import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openFilesLimit } from "./openfiles.ts";

describe("the limit of open files", () => {
  test("is the soft one of the process", () => {
    const folder = mkdtempSync(join(tmpdir(), "coffer-limits-"));
    const path = join(folder, "limits");
    const lines = ["Limit                     Soft Limit           Hard Limit           Units     "];
    lines.push("Max processes             95000                95000                processes ");
    lines.push("Max open files            500                  4096                 files     ");
    writeFileSync(path, lines.join("\n"));
    expect(openFilesLimit(path)).toBe(500);
    rmSync(folder, { recursive: true });
  });

  test("is the usual one where the system does not say", () => {
    expect(openFilesLimit("/nowhere/limits")).toBe(1024);
  });
});
