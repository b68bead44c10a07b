// A change that replaces a store's pods is a change under way: nobody is warned, and GitOps tools wait. What these make of
// each state on the way is judged with those of all other tests, at the end.

import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import { ROOT, waitFor } from "../harness.ts";
import { store } from "./manifests.ts";
import type { KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 120_000;
/** The operator, as Events name it. */
const CONTROLLER = "coffer.dev/operator";

let team: Team;

beforeAll(async () => {
  team = await createTeam("rollout");
  await team.apply(join(ROOT, "examples", "quickstart"));
  await team.untilReady("encryptedbuckets", "photos", READY_MS);
  await team.untilReady("encryptedstores", "default", READY_MS);
});

afterAll(async () => await team?.remove());

it("the pods are replaced, objects stay, and nobody is warned", async () => {
  const credentials = await team.credentials("photos-app");
  // A pod is ready a moment before its Service leads to it: until then connections are refused.
  const put = () => restObject(credentials, "a", { method: "PUT", body: "a" }).catch(() => undefined);
  await waitFor("the object to be written", READY_MS, async () => (await put())?.ok === true);
  const before = await team.get("pods", "coffer-default-0");
  await team.apply(store("default", { pod: { annotations: { "example.com/round": "2" } } }), [
    "--server-side",
    "--force-conflicts",
  ]);
  const isAnother = (pod: KubeObject | undefined) =>
    pod?.metadata.annotations?.["example.com/round"] === "2" && pod.metadata.uid !== before?.metadata.uid;
  await team.until("pods", "coffer-default-0", "to be another", isAnother, READY_MS);
  const isDone = ({ status }: { status?: { currentRevision?: string; updateRevision?: string } } = {}) =>
    status?.currentRevision === status?.updateRevision;
  await team.until("statefulsets", "coffer-default", "to be done", isDone, READY_MS);
  await team.untilReady("encryptedstores", "default", READY_MS);
  await team.untilReady("encryptedbuckets", "photos", READY_MS);
  const got = async () => await (await restObject(credentials, "a").catch(() => undefined))?.text();
  await waitFor("the object to be read", READY_MS, async () => (await got()) === "a");
  const events = await team.list("events");
  // The cluster's own controllers warn of what they will try again.
  const ours = events.filter(({ reportingController }) => reportingController === CONTROLLER);
  expect(ours).not.toEqual([]);
  const warnings = ours.filter(({ type }) => type === "Warning");
  expect(warnings.map(({ regarding, reason, note }) => `${regarding.kind} ${reason}: ${note}`)).toEqual([]);
});
