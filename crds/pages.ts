// The parts of docs/<kind>.md that come from the definitions: fields, columns, conditions. Between two marks of a page
// stands what is printed here; all else of it is written by hand.

import { adviceOn } from "./advice.ts";
import { type SchemaNode, schemaOf } from "./crd.ts";
import { KINDS } from "./kinds.ts";
import { BESIDE_READY, type KindName, READY_PARTS, REASONS, type WHILE_TRUE } from "./reasons.ts";

const PARTS = {
  fields: (kind: KindName) => fieldTable(kind, "spec"),
  status: (kind: KindName) => fieldTable(kind, "status"),
  columns: columnTable,
  conditions: conditionTable,
} as const;

type Part = keyof typeof PARTS;

/** Which of the conditions that are present only while true a kind can have. */
const WHILE_TRUE_OF: Readonly<Record<KindName, readonly (typeof WHILE_TRUE)[number][]>> = {
  KmsProvider: ["Reconciling", "Stalled", "DeletionBlocked"],
  EncryptedBucket: ["Reconciling", "Stalled", "DeletionBlocked", "Suspended"],
  EncryptedStore: ["Reconciling", "Stalled", "DeletionBlocked", "Suspended"],
};

/** File name of a kind's page, in docs/. */
export function pageOf(kind: KindName): string {
  return `${kind.toLowerCase()}.md`;
}

/** The page with its printed parts as they are now. Every part must have its place. */
export function fillPage(kind: KindName, page: string): string {
  let filled = page;
  for (const part of Object.keys(PARTS) as Part[]) {
    const [begin, end] = [`<!-- printed: ${part} -->`, `<!-- end of ${part} -->`];
    const from = filled.indexOf(begin);
    const to = filled.indexOf(end);
    if (from < 0 || to < from) throw new Error(`docs/${pageOf(kind)} has no place for ${part}: ${begin} … ${end}`);
    filled = `${filled.slice(0, from + begin.length)}\n\n${PARTS[part](kind)}\n${filled.slice(to)}`;
  }
  return filled;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("");
}

function escaped(cell: string): string {
  return cell.replaceAll("|", "\\|");
}

function fieldTable(kind: KindName, root: "spec" | "status"): string {
  const node = schemaOf(KINDS[kind]).properties?.[root];
  const rows = node === undefined ? [] : [...fieldRows(node, "")];
  return root === "spec"
    ? table(["field", "type", "default", "meaning"], rows)
    : table(
        ["field", "type", "meaning"],
        rows.map(([field = "", type = "", , meaning = ""]) => [field, type, meaning]),
      );
}

/** Shapes of Kubernetes' own, which have no descriptions, are not taken apart. */
function* fieldRows(node: SchemaNode, path: string): Generator<readonly string[]> {
  const required = node.required ?? [];
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const field = path === "" ? name : `${path}.${name}`;
    const fallback = required.includes(name) ? "required" : defaultWords(child);
    yield [`\`${field}\``, typeWords(child), fallback, child.description ?? ""];
    const item = child.items ?? child;
    const isOurs = Object.values(item.properties ?? {}).some(({ description }) => description !== undefined);
    if (isOurs) yield* fieldRows(item, child.items === undefined ? field : `${field}[]`);
  }
}

function defaultWords({ default: fallback }: SchemaNode): string {
  return fallback === undefined || typeof fallback === "object" ? "" : `\`${fallback}\``;
}

function typeWords(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(", ");
  const range = node["x-kubernetes-validations"]
    ?.map(({ message }) => /^must be a duration .*, from (\S+) to (\S+)$/.exec(message ?? ""))
    .find((found) => found !== null);
  if (range !== undefined) return `duration, ${range[1]} to ${range[2]}`;
  if (node.type === "array") return `list, up to ${node.maxItems}`;
  if (node.additionalProperties !== undefined) return `map, up to ${node.maxProperties}`;
  if (node.format === "date-time") return "time";
  if (node.type === "integer" && node.maximum !== undefined) return `integer, ${node.minimum ?? 0} to ${node.maximum}`;
  return node.type ?? "integer or string";
}

function columnTable(kind: KindName): string {
  const rows = KINDS[kind].columns.map(({ name, jsonPath, priority }) => [
    name.toUpperCase(),
    `\`${jsonPath}\``,
    priority === undefined ? "" : "with `-o wide`",
  ]);
  return table(["column", "from", ""], rows);
}

/** The first reason of a condition goes with True; the others say why it is not. */
function conditionTable(kind: KindName): string {
  const conditions = [...READY_PARTS[kind], ...BESIDE_READY[kind], ...WHILE_TRUE_OF[kind]];
  const rows = conditions.flatMap((condition) =>
    condition === "Stalled"
      ? [["Stalled", "that of the mistake", adviceOn(kind, "Stalled", "Stalled")]]
      : REASONS[condition]
          .map((reason) => [condition, reason, adviceOn(kind, condition, reason)])
          .filter(([, , advice]) => advice !== ""),
  );
  return table(
    ["condition", "reason", "what it means, and what to do"],
    rows.map(([condition = "", reason = "", advice = ""], at) => [
      rows[at - 1]?.[0] === condition ? "" : `\`${condition}\``,
      reason === "that of the mistake" ? reason : `\`${reason}\``,
      advice,
    ]),
  );
}
