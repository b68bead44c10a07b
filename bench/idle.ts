// A thread that does nothing, and tells how late its loop comes round all the same: p99 since the last question, ms.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort } from "node:worker_threads";

const delays = monitorEventLoopDelay({ resolution: 10 });
delays.enable();
parentPort?.on("message", () => {
  parentPort?.postMessage(delays.percentile(99) / 1e6);
  delays.reset();
});
