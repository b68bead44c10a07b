import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

const BODY_BYTES = 128 * 1024;
const BODIES = 16;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("one body has room until it has brought its share", () => {
  const turns = new Turns();
  expect([0, BODY_BYTES - 1, BODY_BYTES].map((bytes) => turns.hasRoom(bytes))).toEqual([true, true, false]);
});

test("all bodies together have room until the turn is spent, and again in the next", async () => {
  const turns = new Turns();
  const { number } = turns;
  for (let body = 0; body < BODIES; body += 1) {
    expect(turns.hasRoom(0)).toBe(true);
    turns.spend(BODY_BYTES);
  }
  expect(turns.hasRoom(0)).toBe(false);
  await nextTurn();
  expect(turns.number).toBe(number + 1);
  expect(turns.hasRoom(0)).toBe(true);
});

test("who waits goes on first come first served, no more in one turn than it has room for", async () => {
  const turns = new Turns();
  const went: number[] = [];
  for (let body = 0; body < 2 * BODIES + 1; body += 1) turns.later(() => went.push(body));
  const after: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    await nextTurn();
    after.push(went.length);
  }
  expect(after).toEqual([BODIES, 2 * BODIES, 2 * BODIES + 1]);
  expect(went).toEqual([...went].sort((a, b) => a - b));
});

test("who waits again in its turn comes behind all who waited before", async () => {
  const turns = new Turns();
  const went: string[] = [];
  turns.later(() => {
    went.push("first");
    turns.later(() => went.push("first again"));
  });
  for (let body = 0; body < BODIES; body += 1) turns.later(() => went.push("other"));
  await nextTurn();
  await nextTurn();
  expect(went.indexOf("first again")).toBe(BODIES + 1);
});
