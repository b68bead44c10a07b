/** Says in words what is wrong with a document, path by path, and never repeats a value: it may be a secret. */
import type { TSchema } from "typebox";
import Value from "typebox/value";

/** All problems of `document` under `schema`, each as `path: what is wrong`; empty when it holds. */
export function describeProblems(schema: TSchema, document: unknown): string[] {
  if (Value.Check(schema, document)) return [];
  const seen = new Set<string>();
  for (const problem of Value.Errors(schema, document)) {
    const path = problem.instancePath === "" ? "document" : problem.instancePath.slice(1);
    seen.add(`${path}: ${problem.message}`);
  }
  return [...seen];
}
