// Writes what is printed from crds/<kind>.ts, for all three: `node crds/print.ts`. Run it after a change of a kind. The
// chart has its own copies of the definitions, since Helm reads nothing outside of its folder.

import { readFileSync, writeFileSync } from "node:fs";
import { printCrd } from "./crd.ts";
import { fillPage, pageOf } from "./pages.ts";
import type { KindName } from "./reasons.ts";

const KIND_NAMES: readonly KindName[] = ["KmsProvider", "EncryptedBucket", "EncryptedStore"];

for (const kind of KIND_NAMES) {
  const definition = printCrd(kind);
  writeFileSync(new URL(`${kind.toLowerCase()}.yaml`, import.meta.url), definition);
  writeFileSync(new URL(`../charts/coffer/definitions/${kind.toLowerCase()}.yaml`, import.meta.url), definition);
  const page = new URL(`../docs/${pageOf(kind)}`, import.meta.url);
  writeFileSync(page, fillPage(kind, readFileSync(page, "utf8")));
}
