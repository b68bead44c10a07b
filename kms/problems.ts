// Turns what the schema builder finds into lines for a person: every problem, each with its place, none with the value
// that was found there, since it may be a secret.

import type { TSchema } from "typebox";
import type { Validator } from "typebox/compile";
import { Settings } from "typebox/system";

/** `at` is a JSON pointer into the document; "" is its root. */
export interface Problem {
  readonly at: string;
  readonly problem: string;
}

/** More than anybody reads; the schema builder's own limit is 8. */
const PROBLEMS_MAX = 200;

type SchemaError = ReturnType<Validator["Errors"]>[number];

/** All that `value` does wrong by the schema; empty if it holds. `at` is where the value stands in its document. */
export function problemsBySchema(
  validator: Validator<Record<never, never>, TSchema>,
  value: unknown,
  at: string,
): Problem[] {
  const limitBefore = Settings.Get().maxErrors;
  Settings.Set({ maxErrors: PROBLEMS_MAX });
  try {
    return validator.Errors(value).flatMap((error) => describe(error, at));
  } finally {
    Settings.Set({ maxErrors: limitBefore });
  }
}

/** One line a problem, for a message. */
export function printProblems(problems: readonly Problem[]): string {
  return problems.map(({ at, problem }) => `${at === "" ? "the whole" : at} ${problem}`).join("; ");
}

function describe(error: SchemaError, at: string): Problem[] {
  const place = at + error.instancePath;
  switch (error.keyword) {
    case "boolean": // the same unknown member is reported once more, as additionalProperties
      return [];
    case "additionalProperties":
      return error.params.additionalProperties.map((name) => ({
        at: `${place}/${escapePointer(name)}`,
        problem: "is not known here",
      }));
    case "required":
      return error.params.requiredProperties.map((name) => ({
        at: `${place}/${escapePointer(name)}`,
        problem: "is missing",
      }));
    default:
      return [{ at: place, problem: error.message }];
  }
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
