// What comes over a network may fail once. It is tried a second time, and never in silence.

import { setTimeout as sleep } from "node:timers/promises";

const REST_MS = 5_000;

/** For what is brought before tests, and never for a test. Fails as the second try does. */
export async function twice<Result>(
  what: string,
  say: (line: string) => void,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const [why = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    say(`${what} failed, and is tried once more: ${why}`);
    await sleep(REST_MS);
    return await work();
  }
}
