import { expect, test } from "vitest";
import { bytesOf, parseOptions, sizeText } from "./options.ts";

test("without options all parts, sizes and numbers of clients are measured", () => {
  const options = parseOptions([]);
  if (options === "help") throw new Error("help was not asked for");
  expect(options.sizes).toEqual([1024, 65_536, 2 ** 20, 2 ** 24, 2 ** 27]);
  expect(options.clients).toEqual([4, 16]);
  expect([...options.parts]).toEqual(["objects", "aged", "lists", "streams"]);
});

test("--quick is shorter, and each option still counts", () => {
  const options = parseOptions(["--quick", "--sizes", "5MiB", "--seconds", "0.5"]);
  expect(options).toMatchObject({ sizes: [5 * 2 ** 20], seconds: 0.5, clients: [16] });
});

test("a peer is a label, an address, a pair of keys and a process", () => {
  const options = parseOptions(["--peer", "other=http://127.0.0.1:9100,AK,s/e+c=,77"]);
  if (options === "help") throw new Error("help was not asked for");
  expect(options.peers).toEqual([
    { label: "other", url: new URL("http://127.0.0.1:9100"), accessKeyId: "AK", secret: "s/e+c=", pid: 77 },
  ]);
});

test("--help is an answer by itself", () => {
  expect(parseOptions(["--quick", "--help"])).toBe("help");
});

const WRONG: Readonly<Record<string, readonly [readonly string[], string]>> = {
  "a peer without a process": [["--peer", "a=http://h,AK,s"], '--peer … PID takes a number above 0, not ""'],
  "a peer without an address": [["--peer", "a=,AK,s,1"], "--peer takes LABEL=URL,ACCESS,SECRET,PID"],
  "a size without a unit that is known": [["--sizes", "1KB"], '"1KB" is no size such as 64KiB'],
  "no seconds": [["--seconds", "0"], "--seconds takes a number above 0"],
  "a part that there is not": [["--parts", "objects,all"], "--parts takes objects, aged, lists, streams"],
  "an option that there is not": [["--fast"], "--fast"],
};

test.each(Object.entries(WRONG))("%s is refused", (_what, [args, message]) => {
  expect(() => parseOptions(args)).toThrow(message);
});

test.each([
  ["1KiB", 1024],
  ["1025B", 1025],
  ["128MiB", 2 ** 27],
  ["1GiB", 2 ** 30],
])("%s is %d bytes, and back", (text, bytes) => {
  expect(bytesOf(text)).toBe(bytes);
  expect(sizeText(bytes)).toBe(text);
});
