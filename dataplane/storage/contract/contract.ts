/* The suite that every Storage passes, theme by theme. */

import { describe } from "vitest";
import type { OpenEmpty } from "./bench.ts";
import { bodiesContract } from "./bodies.ts";
import { conditionsContract } from "./conditions.ts";
import { documentsContract } from "./documents.ts";
import { faultsContract } from "./faults.ts";
import { listingContract } from "./listing.ts";
import { multipartContract } from "./multipart.ts";

export function storageContract(name: string, open: OpenEmpty): void {
  describe(`${name} keeps the contract of a storage`, () => {
    describe("bodies", () => bodiesContract(open));
    describe("conditions and buckets", () => conditionsContract(open));
    describe("listing", () => listingContract(open));
    describe("multipart", () => multipartContract(open));
    describe("documents", () => documentsContract(open));
    describe("faults", () => faultsContract(open));
  });
}
