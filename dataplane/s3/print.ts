/** Writes docs/s3-compatibility.md: `node dataplane/s3/print.ts`. Run it after a change of the table. */
import { mkdirSync, writeFileSync } from "node:fs";
import { printCompatibility } from "./compatibility.ts";

const docs = new URL("../../docs/", import.meta.url);
mkdirSync(docs, { recursive: true });
writeFileSync(new URL("s3-compatibility.md", docs), printCompatibility());
