// A definition becomes a CustomResourceDefinition: an OpenAPI v3 structural schema, columns, subresources. Its print is
// what a cluster gets, and the schema in it is what validate.ts goes by, so that both read the same rules.

import { stringify } from "yaml";
import type { Definition } from "./kind.ts";
import { KINDS } from "./kinds.ts";
import { CATEGORY, GROUP, VERSION } from "./names.ts";
import type { KindName } from "./reasons.ts";
import type { Rule } from "./schema.ts";

/** One node of a structural schema: the part of OpenAPI v3 that the three kinds use. */
export interface SchemaNode {
  description?: string;
  type?: "object" | "array" | "string" | "integer" | "boolean";
  format?: "int32" | "int64" | "date-time";
  default?: unknown;
  enum?: readonly string[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  "x-kubernetes-int-or-string"?: true;
  "x-kubernetes-list-type"?: "map" | "atomic";
  "x-kubernetes-list-map-keys"?: readonly string[];
  "x-kubernetes-validations"?: readonly Rule[];
  required?: readonly string[];
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode;
  items?: SchemaNode;
}

const ORDER: readonly (keyof SchemaNode)[] = [
  "description",
  "type",
  "format",
  "default",
  "enum",
  "pattern",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "minItems",
  "maxItems",
  "maxProperties",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-type",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-validations",
  "required",
  "properties",
  "additionalProperties",
  "items",
];

/** The schema of a kind, from its root. */
export function schemaOf(definition: Definition): SchemaNode {
  return {
    description: definition.description,
    type: "object",
    "x-kubernetes-validations": definition.rules,
    required: ["spec"],
    properties: {
      apiVersion: { description: "Group and version of the API.", type: "string" },
      kind: { description: "Kind of the resource.", type: "string" },
      // The API server has a schema of its own for it, and refuses even a description here.
      metadata: { type: "object" },
      spec: toNode(definition.spec),
      status: toNode(definition.status),
    },
  };
}

/** The CustomResourceDefinition of a kind, as YAML: `crds/<kind>.yaml` is this, to the byte. */
export function printCrd(kind: KindName): string {
  const header = `# Printed from crds/${kind.toLowerCase()}.ts by crds/print.ts.\n`;
  return header + stringify(crdOf(KINDS[kind]), { lineWidth: 0, aliasDuplicateObjects: false });
}

function crdOf(definition: Definition) {
  const { kind, plural, singular, shortName } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames: [shortName],
        categories: [CATEGORY],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: definition.columns,
          ...(definition.selectableFields.length === 0
            ? {}
            : { selectableFields: definition.selectableFields.map((jsonPath) => ({ jsonPath })) }),
          subresources: { status: {}, ...(definition.scale === undefined ? {} : { scale: definition.scale }) },
          schema: { openAPIV3Schema: schemaOf(definition) },
        },
      ],
    },
  };
}

/** TypeBox's schema without what TypeScript alone needs: a field with a default is always read, but need not be written. */
function toNode(schema: object): SchemaNode {
  const from = schema as SchemaNode;
  const node: Record<string, unknown> = {};
  for (const keyword of ORDER) {
    const value = from[keyword];
    if (value !== undefined) {
      node[keyword] = value;
    }
  }
  if (from.properties !== undefined) {
    const entries = Object.entries(from.properties).map(([name, child]) => [name, toNode(child)] as const);
    node["properties"] = Object.fromEntries(entries);
    const required = (from.required ?? []).filter((name) => from.properties?.[name]?.default === undefined);
    node["required"] = required;
    if (required.length === 0) {
      delete node["required"];
    }
  }
  if (from.additionalProperties !== undefined) {
    node["additionalProperties"] = toNode(from.additionalProperties);
  }
  if (from.items !== undefined) {
    node["items"] = toNode(from.items);
  }
  return node;
}
