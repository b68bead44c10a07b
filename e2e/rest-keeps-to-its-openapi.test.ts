// The OpenAPI document is true: requests that it allows and requests that it forbids, made of it at random, get the answers
// that it promises, and none of them an error of the server.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restObject, sayAside } from "./clients.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { preparePython } from "./python.ts";
import { type SelfService, startSelfService } from "./selfservice.ts";

const SEED = 7;
const EXAMPLES = 60;
/** Beside what a quiet machine takes, for one that is busy. */
const LIMIT_MS = 600_000;

let service: SelfService;
let folder: string;
let program: readonly string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-openapi-"));
  const programs = await preparePython("schemathesis", sayAside);
  program = [join(programs, "python"), join(programs, "schemathesis")];
  service = await startSelfService();
  for (const name of ["0", "a/b", "ä.txt"]) {
    expect((await restObject(service.app, name, { method: "PUT", body: "there" })).status).toBe(200);
  }
}, 400_000);
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number | string | null | undefined;
  readonly printed: string;
}

function holdAgainst({ restUrl, token }: Credentials): Promise<Outcome> {
  const [python = "", script = ""] = program;
  const args = [
    script,
    `--config-file=${join(import.meta.dirname, "schemathesis.toml")}`,
    "run",
    `${restUrl}/api/v1/openapi.json`,
    `--header=Authorization: Bearer ${token}`,
    `--seed=${SEED}`,
    `--max-examples=${EXAMPLES}`,
    "--continue-on-failure",
    "--generation-database=none",
    "--no-color",
  ];
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  execFile(python, args, { cwd: folder, timeout: LIMIT_MS, maxBuffer: 64 * 1024 * 1024 }, (error, out, errors) => {
    resolve({ code: error === null ? 0 : error.code, printed: out + errors });
  });
  return promise;
}

const CREDENTIALS: Readonly<Record<string, () => Credentials>> = {
  "a bucket's own credentials": () => service.app,
  "credentials that make buckets": () => service.admin,
};

for (const [whose, credentials] of Object.entries(CREDENTIALS)) {
  test(
    `requests with ${whose} get what the document promises`,
    async () => {
      const { code, printed } = await holdAgainst(credentials());
      expect(code, printed).toBe(0);
      expect(Number(/(\d+) generated, \1 passed/.exec(printed)?.[1]), printed).toBeGreaterThan(500);
    },
    LIMIT_MS + 10_000,
  );
}

test("and the store lives through all of them", async () => {
  const ready = await fetch(`${service.store.urls.admin}/readyz`);
  expect(ready.status).toBe(200);
  const put = await restObject(service.app, "after", { method: "PUT", body: "after" });
  expect(put.status).toBe(200);
  expect(await (await restObject(service.app, "after")).text()).toBe("after");
});
