// Ends a cluster that COFFER_E2E_KEEP kept:  npx node e2e/kubernetes/end.ts NAME

import { endOneNode } from "./onenode.ts";

const name = process.argv[2] ?? "";
if (!(await endOneNode(name))) {
  process.stderr.write(`There is no cluster called "${name}".\n`);
  process.exitCode = 1;
}
