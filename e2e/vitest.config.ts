import { defineConfig } from "vitest/config";

// One file after the other: each starts a store of its own, and some measure its memory or its time.
export default defineConfig({
  test: {
    root: `${import.meta.dirname}/..`,
    include: ["e2e/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
