import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** Many files wait more than they work, so that a small machine does well to run more of them than it has cores. */
const WORKERS_MIN = 3;

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", "e2e/**", "**/*.integration.test.ts"],
    globalSetup: "e2e/temporary.ts",
    pool: "forks",
    maxWorkers: Math.max(WORKERS_MIN, availableParallelism()),
    // More than any wait in a test: whatever is waited for in vain says so itself.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // Left alone it gives up after a second, which a busy machine may take.
    expect: { poll: { timeout: 60_000 } },
  },
});
