// Who refers to what, both ways: so that a change of a Secret finds the resources that read it, without reading all.

export interface References {
  /** All that `from` refers to, from now on; none: it is forgotten. */
  set(from: string, to: Iterable<string>): void;
  /** Who refers to it. */
  referrers(to: string): readonly string[];
}

export function createReferences(): References {
  const targets = new Map<string, ReadonlySet<string>>();
  const referrers = new Map<string, Set<string>>();

  function forget(from: string, to: string): void {
    const those = referrers.get(to);
    those?.delete(from);
    if (those?.size === 0) referrers.delete(to);
  }

  return {
    set(from, to) {
      const now = new Set(to);
      const before = targets.get(from) ?? new Set<string>();
      for (const gone of before) if (!now.has(gone)) forget(from, gone);
      for (const target of now) {
        const those = referrers.get(target);
        if (those === undefined) referrers.set(target, new Set([from]));
        else those.add(from);
      }
      if (now.size === 0) targets.delete(from);
      else targets.set(from, now);
    },
    referrers: (to) => [...(referrers.get(to) ?? [])],
  };
}
