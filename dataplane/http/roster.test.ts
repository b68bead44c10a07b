import fc from "fast-check";
import { expect, test } from "vitest";
import { Roster } from "./roster.ts";

test("a roster holds whoever has entered and not left", () => {
  const step = fc.record({ enters: fc.boolean(), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const roster = new Roster<number>();
      const there: { readonly member: number; readonly leave: () => void }[] = [];
      for (const [member, { enters, which }] of steps.entries()) {
        if (enters) there.push({ member, leave: roster.enter(member) });
        else for (const { leave } of there.splice(which, 1)) leave();
        expect(roster.count).toBe(there.length);
        expect([...roster.members()].sort()).toEqual(there.map((one) => one.member).sort());
      }
    }),
  );
});

test("who leaves twice is told, and nobody else is taken from the roster", () => {
  const roster = new Roster<string>();
  const leave = roster.enter("a");
  roster.enter("b");
  leave();
  expect(leave).toThrow("twice");
  expect([...roster.members()]).toEqual(["b"]);
});

test("members that leave while they are told are told once", () => {
  const roster = new Roster<string>();
  const leaves = ["a", "b", "c"].map((name) => roster.enter(name));
  const seen: string[] = [];
  for (const member of roster.members()) {
    seen.push(member);
    for (const leave of leaves.splice(0, 1)) leave();
  }
  expect(seen.sort()).toEqual(["a", "b", "c"]);
  expect(roster.count).toBe(0);
});
