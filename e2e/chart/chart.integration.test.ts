// The chart: what it renders with many values is taken by a real API server, is what its pages say, and goes as it came.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMap, parse, parseDocument } from "yaml";
import { type Answer, askApiServer, mustAsk } from "../cluster/apiserver.ts";
import { type ControlPlane, startControlPlane } from "../cluster/controlplane.ts";
import { askHelm, CHART, prepareHelm, type Rendered, render, withValues } from "./helm.ts";

const RELEASE = "coffer-system";
const TEAMS = ["team-a", "team-b"];
const BUILD_MS = 30 * 60_000;

let helm: string;
let server: ControlPlane;

beforeAll(async () => {
  helm = await prepareHelm(() => {});
  server = await startControlPlane();
  for (const name of [RELEASE, ...TEAMS]) {
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await mustAsk(server, "POST", "/api/v1/namespaces", { metadata: { name, labels } });
  }
  const installed = await askHelm(helm, ["install", "coffer", CHART, "-n", RELEASE], server.kubeconfig);
  expect(installed).toMatchObject({ code: 0 });
}, BUILD_MS);

afterAll(async () => await server?.stop());

/** Values that a user might set. */
const VALUES: Readonly<Record<string, object>> = {
  "nothing set": {},
  "two replicas, spread by themselves": { operator: { replicas: 2 } },
  "two namespaces alone": { operator: { watchNamespaces: TEAMS } },
  "a digest, and Secrets to pull with": {
    image: { repository: "registry.example.com/coffer", digest: `sha256:${"0".repeat(64)}`, pullPolicy: "Always" },
    imagePullSecrets: [{ name: "pull" }],
  },
  "everything that a scheduler wants": {
    operator: {
      replicas: 3,
      nodeSelector: { "kubernetes.io/os": "linux" },
      tolerations: [{ key: "infra", operator: "Exists" }],
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [] } },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway" },
      ],
      podLabels: { team: "platform" },
      podAnnotations: { "example.com/note": "yes" },
      resources: { requests: { cpu: "100m" } },
    },
  },
  "another's ServiceAccount and roles": {
    serviceAccount: { create: false, name: "given" },
    rbac: { create: false, aggregate: false },
  },
  "names of its own": { fullnameOverride: "vault-of-ours", serviceAccount: { annotations: { a: "b" } } },
  "definitions that go with the release": { crds: { keep: false } },
  "no definitions, no hook": { crds: { enabled: false }, uninstall: { releaseResources: false } },
  "a test elsewhere": {
    test: { namespace: "team-b", volumeSize: "5Gi", storageClassName: "fast", timeoutSeconds: 60 },
  },
};

/** What the schema refuses, and a part of what it says. */
const REFUSED: Readonly<Record<string, readonly [object, string]>> = {
  "a name that nothing has": [{ operator: { replica: 2 } }, "replica"],
  "a section that nothing has": [{ operators: {} }, "operators"],
  "a number of replicas that is a word": [{ operator: { replicas: "two" } }, "replicas"],
  "a level of the log that is none": [{ operator: { logLevel: "info" } }, "logLevel"],
  "a namespace that is none": [{ operator: { watchNamespaces: ["Team"] } }, "watchNamespaces"],
  "the same namespace twice": [{ operator: { watchNamespaces: ["a", "a"] } }, "watchNamespaces"],
  "namespaces as a string": [{ operator: { watchNamespaces: "a,b" } }, "watchNamespaces"],
  "a digest that is none": [{ image: { digest: "latest" } }, "digest"],
  "a Secret to pull with as a word": [{ imagePullSecrets: ["pull"] }, "imagePullSecrets"],
  "a size that is none": [{ test: { volumeSize: "big" } }, "volumeSize"],
  "a switch as a word": [{ crds: { keep: "yes" } }, "keep"],
};

function pathOf({ apiVersion, kind, metadata }: Rendered): string {
  const plural = kind === "NetworkPolicy" ? "networkpolicies" : `${kind.toLowerCase()}s`;
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${group}${place}/${plural}/${metadata.name}`;
}

/** Nothing is kept of it. Fields that the API does not know are refused. */
async function dryRun(object: Rendered): Promise<Answer> {
  const query = "?dryRun=All&fieldManager=chart-test&force=true&fieldValidation=Strict";
  const headers = { "content-type": "application/apply-patch+yaml" };
  return await askApiServer(server, "PATCH", `${pathOf(object)}${query}`, object, headers);
}

interface PodTemplate {
  readonly metadata: object;
  readonly spec: { readonly serviceAccountName?: string; readonly automountServiceAccountToken?: boolean };
}

/** Every pod that would run, as an object of its own. */
function podsOf(objects: readonly Rendered[]): Rendered[] {
  return objects.flatMap((object) => {
    if (object.kind === "Pod") return [object];
    const { template } = (object["spec"] ?? {}) as { readonly template?: PodTemplate };
    if (template === undefined) return [];
    const { name, namespace = RELEASE } = object.metadata;
    return [{ apiVersion: "v1", kind: "Pod", ...template, metadata: { ...template.metadata, name, namespace } }];
  });
}

describe("the chart", () => {
  it("passes Helm's own eye", async () => {
    const { code, output, errors } = await askHelm(helm, ["lint", "--strict", CHART]);
    expect({ code, errors, output }).toMatchObject({ code: 0 });
  });

  it.each(Object.entries(VALUES))("renders what an API server takes: %s", async (_name, values) => {
    const objects = await render(helm, values);
    expect(objects.map(({ kind }) => kind)).toContain("Deployment");
    for (const object of objects) {
      const { status, body } = await dryRun(object);
      expect(`${object.kind} ${object.metadata.name}: ${status} ${String(body["message"] ?? "")}`).toMatch(
        /: 20[01] $/,
      );
    }
  });

  it.each(Object.entries(VALUES))("runs nothing that the strictest Pod Security refuses: %s", async (_name, values) => {
    const pods = podsOf(await render(helm, values));
    expect(pods.length).toBeGreaterThan(1);
    for (const pod of pods) {
      const { status, body } = await dryRun(pod);
      expect(`${pod.metadata.name}: ${status} ${String(body["message"] ?? "")}`).toMatch(/: 20[01] $/);
      expect(pod["spec"]).toMatchObject({ enableServiceLinks: false });
      expect((pod["spec"] as { containers: object[] }).containers[0]).toMatchObject({
        securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
      });
    }
  });

  it.each(Object.entries(REFUSED))("refuses, naming it: %s", async (_name, [values, word]) => {
    const { code, errors } = await withValues(helm, ["template", CHART, "--values", "-"], values);
    expect(code).not.toBe(0);
    expect(errors).toContain(word);
  });

  it("says what to set where serviceAccount.create is false", async () => {
    const { code, errors } = await withValues(helm, ["template", CHART, "--values", "-"], {
      serviceAccount: { create: false },
    });
    expect(code).not.toBe(0);
    expect(errors).toContain("serviceAccount.name must be set");
  });

  it("has the version of package.json", () => {
    const { version } = JSON.parse(readFileSync(join(CHART, "..", "..", "package.json"), "utf8")) as {
      version: string;
    };
    expect(parse(readFileSync(join(CHART, "Chart.yaml"), "utf8"))).toMatchObject({ version, appVersion: version });
  });
});

describe("every value", () => {
  const text = readFileSync(join(CHART, "values.yaml"), "utf8");
  const schema = JSON.parse(readFileSync(join(CHART, "values.schema.json"), "utf8")) as SchemaNode;

  interface SchemaNode {
    readonly properties?: Readonly<Record<string, SchemaNode>>;
    readonly additionalProperties?: unknown;
  }

  /** Paths of what can be set, with what the schema says of each. */
  function leavesOf(node: SchemaNode, path: readonly string[]): string[] {
    if (node.properties === undefined) return [path.join(".")];
    expect([path, node.additionalProperties]).toEqual([path, false]);
    return Object.entries(node.properties).flatMap(([name, child]) => leavesOf(child, [...path, name]));
  }

  /** The same of values.yaml; a map that the schema leaves open is one value. */
  function setIn(value: unknown, node: SchemaNode | undefined, path: readonly string[]): string[] {
    if (node?.properties === undefined || typeof value !== "object" || value === null) return [path.join(".")];
    return Object.entries(value).flatMap(([name, child]) => setIn(child, node.properties?.[name], [...path, name]));
  }

  it("stands in values.yaml and in the schema", () => {
    const inSchema = leavesOf(schema, []).filter((path) => path !== "global");
    expect(setIn(parse(text), schema, []).sort()).toEqual(inSchema.sort());
  });

  it("is documented above its line", () => {
    const document = parseDocument(text);
    const undocumented: string[] = [];
    for (const path of leavesOf(schema, []).filter((one) => one !== "global")) {
      const keys = path.split(".");
      const parent = document.getIn(keys.slice(0, -1), true) ?? document.contents;
      const pair = isMap(parent) ? parent.items.find(({ key }) => String(key) === keys.at(-1)) : undefined;
      const line = text.slice(0, (pair?.key as { range?: number[] } | undefined)?.range?.[0] ?? 0).split("\n").length;
      if (!/^\s*#/.test(text.split("\n")[line - 2] ?? "")) undocumented.push(path);
    }
    expect(undocumented).toEqual([]);
  });
});

describe("rights", () => {
  interface Rule {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
    readonly resourceNames?: readonly string[];
  }
  const rulesOf = (object: Rendered | undefined) => (object?.["rules"] ?? []) as readonly Rule[];

  it("are the same in both modes, and in the second nothing but our own kinds reaches beyond the namespaces", async () => {
    const everywhere = await render(helm, {});
    const named = await render(helm, { operator: { watchNamespaces: TEAMS } });
    const operatorRole = (objects: readonly Rendered[]) =>
      objects.find(({ kind, metadata }) => kind === "ClusterRole" && metadata.name.endsWith(":coffer-operator"));
    expect(new Set(rulesOf(operatorRole(named)).flatMap(({ apiGroups }) => apiGroups))).toEqual(
      new Set(["coffer.dev"]),
    );
    const roles = named.filter(({ kind, metadata }) => kind === "Role" && metadata.namespace !== RELEASE);
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(TEAMS);
    for (const role of roles) {
      expect([...rulesOf(operatorRole(named)), ...rulesOf(role)]).toEqual(rulesOf(operatorRole(everywhere)));
    }
  });

  it("name everything: no wildcard, and nobody's tokens but those of coffer-kms", async () => {
    const rules = (await render(helm, {})).flatMap((object) => rulesOf(object));
    expect(JSON.stringify(rules)).not.toContain("*");
    const tokens = rules.filter(({ resources }) => resources.some((one) => one.endsWith("/token")));
    expect(tokens).toMatchObject([{ resourceNames: ["coffer-kms"], verbs: ["create"] }]);
  });

  it("of people: view reads, edit writes EncryptedBuckets, admin all three", async () => {
    const objects = await render(helm, {});
    const writing = (into: string) =>
      objects
        .filter(({ metadata }) => metadata.labels?.[`rbac.authorization.k8s.io/aggregate-to-${into}`] === "true")
        .flatMap(rulesOf)
        .filter(({ verbs }) => verbs.includes("create"))
        .flatMap(({ resources }) => resources)
        .sort();
    expect(writing("view")).toEqual([]);
    expect(writing("edit")).toEqual(["encryptedbuckets"]);
    expect(writing("admin")).toEqual(["encryptedbuckets", "encryptedstores", "encryptedstores/scale", "kmsproviders"]);
  });
});

describe("a release", () => {
  const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const release = async (...flags: string[]) => {
    const { code, errors, output } = await askHelm(helm, [...flags, "-n", RELEASE], server.kubeconfig);
    expect(`${code} ${errors}`).toMatch(/^0 /);
    return output;
  };
  const stateOf = async (objects: readonly Rendered[]) => {
    const states: Record<string, unknown> = {};
    for (const object of objects.filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] === undefined)) {
      const { metadata } = (await mustAsk(server, "GET", pathOf(object))) as unknown as Rendered;
      const { resourceVersion, generation } = metadata as { resourceVersion?: string; generation?: number };
      states[`${object.kind}/${metadata.name}`] = { resourceVersion, generation };
    }
    return states;
  };

  it("leads to the first bucket in its notes", async () => {
    const notes = await release("get", "notes", "coffer");
    const yaml = /<<'YAML'\n(.*?)\n\s*YAML/s.exec(notes)?.[1] ?? "";
    const kinds = yaml.split("---").map((document) => (parse(document) as { kind: string }).kind);
    expect(kinds).toEqual(["KmsProvider", "EncryptedBucket"]);
    expect(notes).toContain("kubectl -n coffer-system rollout status deployment/coffer-operator");
  });

  it("changes nothing when it is upgraded to the same", async () => {
    const objects = await render(helm, {});
    const before = await stateOf(objects);
    await release("upgrade", "coffer", CHART);
    expect(await stateOf(objects)).toEqual(before);
  });

  it("leaves an object of the lease that a leader can take", async () => {
    const lease = await mustAsk(
      server,
      "GET",
      `/apis/coordination.k8s.io/v1/namespaces/${RELEASE}/leases/coffer-operator`,
    );
    expect(lease["spec"]).toEqual({});
  });

  it("keeps the definitions when it goes, and all else goes; and comes back over them", async () => {
    await release("uninstall", "coffer", "--no-hooks");
    expect((await askApiServer(server, "GET", `${CRDS}/encryptedbuckets.coffer.dev`)).status).toBe(200);
    const left = await askApiServer(server, "GET", `/apis/apps/v1/namespaces/${RELEASE}/deployments`);
    expect(left.body["items"]).toEqual([]);
    await release("install", "coffer", CHART);
    await release("upgrade", "coffer", CHART, "--set", "crds.keep=false");
    await release("uninstall", "coffer", "--no-hooks");
    // A definition goes once the API server has removed what was made by it.
    const status = async () => (await askApiServer(server, "GET", `${CRDS}/encryptedbuckets.coffer.dev`)).status;
    await expect.poll(status, { timeout: 300_000, interval: 200 }).toBe(404);
  });
});
