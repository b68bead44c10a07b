import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import type { Call } from "../call.ts";
import type { Exchange } from "../http/table.ts";
import type { Reading } from "../objects/objects.ts";
import type { Target } from "./target.ts";
import { getObject, type Objects } from "./transfer.ts";

describe("getObject()", () => {
  it("closes what it opened where the answer cannot say what is known of the object", async () => {
    let closed = 0;
    const reading = {
      info: { headers: new Map([["x-amz-meta-no header", "x"]]), etag: "e", modifiedMs: 0, sizeBytes: 1 },
      fromByte: 0,
      toByte: 1,
      partial: false,
      async *[Symbol.asyncIterator]() {
        yield [new Uint8Array(1)];
      },
      close: async () => {
        closed += 1;
      },
    } as unknown as Reading;
    const head = new IncomingMessage(new Socket());
    const exchange = { head, answer: new ServerResponse(head) } as unknown as Exchange<Target>;
    const objects = { get: async () => reading } as unknown as Objects;
    const place = { bucket: "photos", name: "a" };
    await expect(getObject(objects, {} as Call, place, exchange)).rejects.toThrow("Header name");
    expect(closed).toBe(1);
  });
});
