/** Says in words what is wrong with a document, path by path, and never repeats a value: it may be a secret. */
import type { TSchema } from "typebox";
import type { Validator } from "typebox/compile";
import { Settings } from "typebox/system";

/** More than anybody reads; the schema builder's own limit is 8. */
const PROBLEMS_MAX = 200;

/** All problems of `document`, each as `path: what is wrong`; empty when it holds. */
export function describeProblems(validator: Validator<Record<never, never>, TSchema>, document: unknown): string[] {
  if (validator.Check(document)) return [];
  const limitBefore = Settings.Get().maxErrors;
  Settings.Set({ maxErrors: PROBLEMS_MAX });
  try {
    return [...new Set(validator.Errors(document).flatMap(inWords))];
  } finally {
    Settings.Set({ maxErrors: limitBefore });
  }
}

function inWords(error: ReturnType<Validator["Errors"]>[number]): string[] {
  const path = error.instancePath === "" ? "document" : error.instancePath.slice(1);
  switch (error.keyword) {
    case "boolean": // the same unknown member is reported once more, as additionalProperties
      return [];
    case "additionalProperties":
      return error.params.additionalProperties.map((name) => `${path}/${name}: is not known here`);
    case "required":
      return error.params.requiredProperties.map((name) => `${path}/${name}: is missing`);
    default:
      return [`${path}: ${error.message}`];
  }
}
