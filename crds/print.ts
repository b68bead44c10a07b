// Writes crds/<kind>.yaml from crds/<kind>.ts, for all three: `node crds/print.ts`. Run it after a change of a kind.

import { writeFileSync } from "node:fs";
import { printCrd } from "./crd.ts";
import type { KindName } from "./reasons.ts";

const KIND_NAMES: readonly KindName[] = ["KmsProvider", "EncryptedBucket", "EncryptedStore"];

for (const kind of KIND_NAMES) {
  writeFileSync(new URL(`${kind.toLowerCase()}.yaml`, import.meta.url), printCrd(kind));
}
