// The tests that each adapter must pass: what kms.ts promises, asked of a real KMS. What only a fault can show is
// resilience.test.ts's.

import { afterAll, beforeAll, describe } from "vitest";
import { describeAdministration } from "./administration.ts";
import { describeGivingUp } from "./giving-up.ts";
import type { KmsSubject } from "./subject.ts";
import { describeVersions } from "./versions.ts";
import { describeWrapping } from "./wrapping.ts";

export type { KmsSubject, TestKey } from "./subject.ts";

/** Declares the suite for one adapter; `start` may take a while. */
export function describeKmsContract(name: string, start: () => Promise<KmsSubject>): void {
  describe(`${name} keeps the contract of Kms and KeyAdmin`, () => {
    let started: KmsSubject;
    const subject = () => started;

    beforeAll(async () => {
      started = await start();
    });
    afterAll(async () => {
      await started.close();
    });

    describeWrapping(subject);
    describeVersions(subject);
    describeAdministration(subject);
    describeGivingUp(subject);
  });
}
