// The example that everybody begins with, in a team's namespace.

import { join } from "node:path";
import { ROOT } from "../harness.ts";
import type { Team } from "./team.ts";

/** A key ring, a bucket "photos" with a Secret "photos-app", and the default store. Resolves when all are ready. */
export async function quickstart(team: Team, withinMs: number): Promise<void> {
  await team.apply(join(ROOT, "examples", "quickstart"));
  await team.untilReady("kmsproviders", "local", withinMs);
  await team.untilReady("encryptedbuckets", "photos", withinMs);
}
