// Parts of a Pod and of a NetworkPolicy that an EncryptedStore hands on as they are. Their fields are Kubernetes' own,
// so they carry no descriptions, and what Kubernetes leaves open is left open here, within bounds.

import Type, { type TSchema } from "typebox";
import { atomicList } from "./schema.ts";

const LABEL_KEY = 317;
const QUANTITY =
  "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$";

const word = (max: number) => Type.String({ maxLength: max });
const list = <Item extends TSchema>(item: Item, most: number) => atomicList(item, { most });
const map = (most: number) =>
  Type.Unsafe<Record<string, string>>({
    type: "object",
    additionalProperties: { type: "string", maxLength: 63 },
    maxProperties: most,
  });
const quantities = Type.Unsafe<Record<string, number | string>>({
  type: "object",
  additionalProperties: { "x-kubernetes-int-or-string": true, maxLength: 64, pattern: QUANTITY },
  maxProperties: 16,
});
const enumOf = <const Values extends readonly string[]>(values: Values) =>
  Type.Unsafe<Values[number]>({ type: "string", enum: [...values] });
const int = (format: "int32" | "int64", least?: number, most?: number) =>
  Type.Integer({
    format,
    ...(least === undefined ? {} : { minimum: least }),
    ...(most === undefined ? {} : { maximum: most }),
  });

const requirement = <const Operators extends readonly string[]>(operators: Operators) =>
  Type.Object({
    key: word(LABEL_KEY),
    operator: enumOf(operators),
    values: Type.Optional(list(word(63), 64)),
  });

const labelSelector = Type.Object({
  matchLabels: Type.Optional(map(16)),
  matchExpressions: Type.Optional(list(requirement(["In", "NotIn", "Exists", "DoesNotExist"]), 16)),
});

const nodeRequirement = requirement(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]);
const nodeSelectorTerm = Type.Object({
  matchExpressions: Type.Optional(list(nodeRequirement, 16)),
  matchFields: Type.Optional(list(nodeRequirement, 16)),
});

const podAffinityTerm = Type.Object({
  topologyKey: word(LABEL_KEY),
  labelSelector: Type.Optional(labelSelector),
  namespaceSelector: Type.Optional(labelSelector),
  namespaces: Type.Optional(list(word(63), 16)),
  matchLabelKeys: Type.Optional(list(word(LABEL_KEY), 16)),
  mismatchLabelKeys: Type.Optional(list(word(LABEL_KEY), 16)),
});

const weighted = <Name extends string, Term extends TSchema>(named: Name, term: Term) =>
  list(
    Type.Object({ weight: int("int32", 1, 100), [named]: term } as { weight: ReturnType<typeof int> } & Record<
      Name,
      Term
    >),
    16,
  );

const podAffinity = Type.Object({
  requiredDuringSchedulingIgnoredDuringExecution: Type.Optional(list(podAffinityTerm, 16)),
  preferredDuringSchedulingIgnoredDuringExecution: Type.Optional(weighted("podAffinityTerm", podAffinityTerm)),
});

/** As in Pod: where its pods may, should and should not run. */
export const affinity = Type.Object({
  nodeAffinity: Type.Optional(
    Type.Object({
      requiredDuringSchedulingIgnoredDuringExecution: Type.Optional(
        Type.Object({ nodeSelectorTerms: list(nodeSelectorTerm, 16) }),
      ),
      preferredDuringSchedulingIgnoredDuringExecution: Type.Optional(weighted("preference", nodeSelectorTerm)),
    }),
  ),
  podAffinity: Type.Optional(podAffinity),
  podAntiAffinity: Type.Optional(podAffinity),
});

/** As in Container: what it asks for and what it may use. */
export const resources = Type.Object({
  requests: Type.Optional(quantities),
  limits: Type.Optional(quantities),
});

/** As in Pod: labels of the nodes that it may run on. */
export const nodeSelector = map(32);

/** As in Pod: taints of nodes that it does not mind. */
export const tolerations = list(
  Type.Object({
    key: Type.Optional(word(LABEL_KEY)),
    operator: Type.Optional(enumOf(["Exists", "Equal"])),
    value: Type.Optional(word(63)),
    effect: Type.Optional(enumOf(["NoSchedule", "PreferNoSchedule", "NoExecute"])),
    tolerationSeconds: Type.Optional(int("int64")),
  }),
  32,
);

/** As in Pod: how pods are spread over nodes and zones. */
export const topologySpreadConstraints = list(
  Type.Object({
    maxSkew: int("int32", 1),
    topologyKey: word(LABEL_KEY),
    whenUnsatisfiable: enumOf(["DoNotSchedule", "ScheduleAnyway"]),
    labelSelector: Type.Optional(labelSelector),
    minDomains: Type.Optional(int("int32", 1)),
    nodeAffinityPolicy: Type.Optional(enumOf(["Honor", "Ignore"])),
    nodeTaintsPolicy: Type.Optional(enumOf(["Honor", "Ignore"])),
    matchLabelKeys: Type.Optional(list(word(LABEL_KEY), 16)),
  }),
  8,
);

/** As in NetworkPolicy: who may connect. */
export const networkPolicyPeer = Type.Object({
  ipBlock: Type.Optional(Type.Object({ cidr: word(64), except: Type.Optional(list(word(64), 64)) })),
  namespaceSelector: Type.Optional(labelSelector),
  podSelector: Type.Optional(labelSelector),
});
