// Ends a cluster that COFFER_E2E_KEEP kept:  npx node e2e/kubernetes/end.ts NAME

import { findOneNode, stopOneNode } from "./onenode.ts";

const name = process.argv[2] ?? "";
const found = await findOneNode(name);
if (found === undefined) {
  process.stderr.write(`There is no cluster called "${name}".\n`);
  process.exitCode = 1;
} else {
  await stopOneNode(found);
}
