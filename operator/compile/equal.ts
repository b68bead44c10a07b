// Whether two entries say the same: that decides which revision an entry has.

/** Equality as JSON, but for members of that name at the top. Members whose value is undefined are as if absent. */
export function equalExcept(left: object, right: object, except: readonly string[]): boolean {
  const without = (value: object) =>
    JSON.stringify(
      Object.entries(value)
        .filter(([name, member]) => member !== undefined && !except.includes(name))
        .sort(([one], [other]) => (one < other ? -1 : 1)),
    );
  return without(left) === without(right);
}

/** The entry with the revision in which it last changed. What it was made from is no change of it. */
export function withRevision<Entry extends { readonly revision: number }>(
  entry: Entry,
  previous: Entry | undefined,
): Entry {
  if (previous === undefined || !equalExcept(entry, previous, ["revision", "madeFrom"])) return entry;
  return { ...entry, revision: previous.revision };
}
