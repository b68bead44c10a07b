import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import useOwnFolder from "../temporary.ts";

useOwnFolder();

const shared = {
  root: resolve(import.meta.dirname, "..", ".."),
  pool: "forks",
  // More than any wait in a test: whatever is waited for in vain says so itself.
  testTimeout: 300_000,
  hookTimeout: 300_000,
} as const;
const TESTS = "e2e/kubernetes/**/*.test.ts";
const SERIAL = "e2e/kubernetes/**/*.serial.test.ts";
const LAST = "e2e/kubernetes/**/*.last.test.ts";

// Promises on a real cluster, each in namespaces of its own, side by side. What disturbs the operator itself comes after
// them, one by one, and last what judges all that has happened. Bringing the cluster up is no test: it has its own time.
export default defineConfig({
  test: {
    ...shared,
    globalSetup: "e2e/kubernetes/setup.ts",
    projects: [
      {
        test: {
          ...shared,
          name: "together",
          include: [TESTS],
          exclude: [SERIAL, LAST],
          maxWorkers: 5,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...shared, name: "one by one", include: [SERIAL], fileParallelism: false, sequence: { groupOrder: 1 } },
      },
      {
        test: { ...shared, name: "last", include: [LAST], fileParallelism: false, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
