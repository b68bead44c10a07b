// What is wrong with a resource that gives no entry.

/** What its plan shows, in words for a person. */
export interface Finding {
  readonly finding:
    | "StoreNotFound"
    | "ProviderNotFound"
    | "ProviderNotReady"
    | "KeyUnusable"
    | "TooManyMoves"
    | "Suspended";
  readonly message: string;
}

/** Whether an outcome of compiling is what is wrong. */
export function isFinding(outcome: object): outcome is Finding {
  return "finding" in outcome;
}
