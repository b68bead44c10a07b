import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

const BODY_BYTES = 128 * 1024;
const BODIES = 16;
/** Many small bodies before. */
const LARGE_BYTES = 2 ** 30;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("one body has room until it has brought its share", () => {
  const turns = new Turns();
  const room = [0, BODY_BYTES - 1, BODY_BYTES].map((bytes) => turns.hasRoom(bytes, LARGE_BYTES));
  expect(room).toEqual([true, true, false]);
});

test("all bodies together have room until the turn is spent, and again in the next", async () => {
  const turns = new Turns();
  const { number } = turns;
  for (let body = 0; body < BODIES; body += 1) {
    expect(turns.hasRoom(0, LARGE_BYTES)).toBe(true);
    turns.spend(BODY_BYTES);
  }
  expect(turns.hasRoom(0, LARGE_BYTES)).toBe(false);
  await nextTurn();
  expect(turns.number).toBe(number + 1);
  expect(turns.hasRoom(0, LARGE_BYTES)).toBe(true);
});

test("a small body has room though large ones have spent the turn", () => {
  const turns = new Turns();
  turns.spend(BODIES * BODY_BYTES);
  expect(turns.hasRoom(1024, 1024)).toBe(true);
  expect(turns.hasRoom(BODY_BYTES - 1, BODY_BYTES)).toBe(false);
});

test("what is sent counts too, half of what comes, and waits once the turn is spent", async () => {
  const turns = new Turns();
  const { number } = turns;
  for (let answer = 1; answer < 2 * BODIES; answer += 1) expect(turns.sent(BODY_BYTES)).toBeUndefined();
  const waiting = turns.sent(BODY_BYTES);
  expect(turns.hasRoom(0, LARGE_BYTES)).toBe(false);
  await waiting;
  expect(turns.number).toBe(number + 1);
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

test("two answers of a body's size go on in its place", async () => {
  const turns = new Turns();
  turns.spend(BODIES * BODY_BYTES);
  let went = 0;
  for (let answer = 0; answer < 4 * BODIES; answer += 1) void turns.sent(BODY_BYTES)?.then(() => (went += 1));
  await nextTurn();
  expect(went).toBe(2 * BODIES);
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
