// Has the API server itself refuse what a test wants refused, of everybody, in one namespace.

import { waitFor } from "../harness.ts";
import { kubectl } from "./cluster.ts";
import type { Team } from "./team.ts";

export interface Refusal {
  /** Part of a name. */
  readonly name: string;
  readonly apiGroup: string;
  /** As rules have it: "secrets", "kmsproviders/status". */
  readonly resource: string;
  /** CEL of what is let through; `object` and `oldObject` are at hand. */
  readonly unless: string;
  /** Asks for something that is to be refused, and changes nothing. Rejects once it is. */
  attempt(): Promise<unknown>;
}

const ACTS_MS = 60_000;
const MESSAGE = "refused by the test";
const KIND = "admissionregistration.k8s.io/v1";

/** Updates alone. Resolves when it acts; the answer takes it back, and resolves when it acts no more. */
export async function refuse(team: Team, { name, apiGroup, resource, unless, attempt }: Refusal) {
  const metadata = { name: `${team.name}-${name}` };
  const rule = { apiGroups: [apiGroup], apiVersions: ["*"], operations: ["UPDATE"], resources: [resource] };
  const namespaceSelector = { matchLabels: { "kubernetes.io/metadata.name": team.name } };
  const items = [
    {
      apiVersion: KIND,
      kind: "ValidatingAdmissionPolicy",
      metadata,
      spec: {
        failurePolicy: "Fail",
        matchConstraints: { namespaceSelector, resourceRules: [rule] },
        validations: [{ expression: unless, message: MESSAGE }],
      },
    },
    {
      apiVersion: KIND,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata,
      spec: { policyName: metadata.name, validationActions: ["Deny"] },
    },
  ];
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const isRefused = async () => {
    try {
      await attempt();
      return false;
    } catch (error) {
      if (error instanceof Error && error.message.includes(MESSAGE)) return true;
      throw error;
    }
  };
  await kubectl(["apply", "-f", "-"], list);
  await waitFor("the API server to refuse", ACTS_MS, isRefused);
  return async () => {
    await kubectl(["delete", "--ignore-not-found", "-f", "-"], list);
    await waitFor("the API server to refuse no more", ACTS_MS, async () => !(await isRefused()));
  };
}
