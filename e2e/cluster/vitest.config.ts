import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import useOwnFolder from "../temporary.ts";

useOwnFolder();

// Tests of the operator and of the API against a real API server and etcd. A cold build of the two takes long.
export default defineConfig({
  test: {
    root: resolve(import.meta.dirname, "..", ".."),
    include: ["**/*.integration.test.ts"],
    exclude: ["node_modules/**"],
    globalSetup: "e2e/cluster/setup.ts",
    pool: "forks",
    maxWorkers: 4,
    // More than any wait in a test: whatever is waited for in vain says so itself.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
