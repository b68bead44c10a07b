import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import useOwnFolder from "./temporary.ts";

useOwnFolder();

/** They measure memory or time, so that nothing else runs beside them. */
const MEASURING = [
  "e2e/a-stranger-starts-it.test.ts",
  "e2e/killed-at-any-moment.test.ts",
  "e2e/large-objects-stream.test.ts",
  "e2e/the-vault-goes-away.test.ts",
];

const shared = {
  root: resolve(import.meta.dirname, ".."),
  pool: "forks",
  // More than any wait in a test: whatever is waited for in vain says so itself.
  testTimeout: 600_000,
  hookTimeout: 300_000,
} as const;

// Each file starts a store of its own.
export default defineConfig({
  test: {
    ...shared,
    projects: [
      {
        test: {
          ...shared,
          name: "three at a time",
          include: ["e2e/*.test.ts"],
          exclude: MEASURING,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: "one by one",
          include: MEASURING,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
