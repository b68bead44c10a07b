// A thread that puts and gets small objects while the rest of the bench keeps the server busy, with connections and a
// loop of its own, so that the bench's own work is not taken for the server's. Posts both runs.

import { parentPort, workerData } from "node:worker_threads";
import { BenchBody } from "./body.ts";
import { S3Client, type Target } from "./client.ts";
import { loop, type Run } from "./load.ts";

export interface BesideWanted {
  readonly target: Omit<Target, "url"> & { readonly url: string };
  readonly sizeBytes: number;
  readonly seconds: number;
}

export interface BesideRuns {
  readonly put: Run;
  readonly get: Run;
}

const { target, sizeBytes, seconds } = workerData as BesideWanted;
const client = new S3Client({ ...target, url: new URL(target.url) });
const body = new BenchBody(sizeBytes);
await client.put("beside/read", body, true);
const [put, get] = await Promise.all([
  loop(1, seconds, () => client.put("beside/written", body, true)),
  loop(1, seconds, () => client.get("beside/read", body)),
]);
client.close();
const runs: BesideRuns = { put, get };
parentPort?.postMessage(runs);
