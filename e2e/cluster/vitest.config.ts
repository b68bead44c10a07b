import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// Tests of the operator and of the API against a real API server and etcd. A cold build of the two takes long.
export default defineConfig({
  test: {
    root: resolve(import.meta.dirname, "..", ".."),
    include: ["**/*.integration.test.ts"],
    exclude: ["node_modules/**"],
    globalSetup: "e2e/cluster/setup.ts",
    pool: "forks",
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
