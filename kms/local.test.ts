import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeKmsContract, type KmsSubject, type TestKey } from "./contract/contract.ts";
import { codeOf, PATIENT } from "./contract/subject.ts";
import { KmsError, type Wrapped } from "./kms.ts";
import { createLocalKeyAdmin, createLocalKms } from "./local.ts";
import { openKms, openRingAdmin } from "./open.ts";
import { parseKmsOptions } from "./options.ts";
import { createRing, parseRing, printRing, type Ring, RingChanged, type RingHolder, withNewVersion } from "./ring.ts";
import { Secret } from "./secret.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const CONTEXT = { "coffer:bucket": "photos" };

/** A holder in memory, and its means to interfere. */
function createMemoryHolder(first: Ring | undefined) {
  let kept = first;
  let writes = 0;
  const holder: RingHolder = {
    async read(signal) {
      signal.throwIfAborted();
      return kept === undefined ? undefined : { ring: kept, tag: String(writes) };
    },
    async replace(ring, ifTag, signal) {
      signal.throwIfAborted();
      if (ifTag !== (kept === undefined ? "absent" : String(writes))) throw new RingChanged();
      kept = ring;
      writes += 1;
      return String(writes);
    },
  };
  return {
    holder,
    ring: () => kept as Ring,
    set(ring: Ring | undefined) {
      kept = ring;
      writes += 1;
    },
  };
}

const adapterAlone: KmsSubject = {
  provider: "Local",
  async makeKey() {
    const memory = createMemoryHolder(createRing(NOW));
    return testKeyOf(memory, async () => createLocalKms(memory.ring()));
  },
  async close() {},
};

const openedFromOptions: KmsSubject = {
  ...adapterAlone,
  async makeKey() {
    const memory = createMemoryHolder(createRing(NOW));
    return testKeyOf(memory, async () => {
      const parsed = parseKmsOptions({ type: "Local", ring: printRing(memory.ring()) });
      if ("problems" in parsed) throw new Error("The options did not parse");
      const settings = { timeoutMs: 5000, negativeTtlMs: 10_000, observe: () => {} };
      return await openKms(parsed.options, settings, PATIENT);
    });
  },
};

async function testKeyOf(memory: ReturnType<typeof createMemoryHolder>, open: TestKey["open"]): Promise<TestKey> {
  const kmsKeyId = memory.ring().id;
  const admin = await openRingAdmin(memory.holder, kmsKeyId, () => NOW);
  return { kmsKeyId, admin, open, remove: async () => memory.set(undefined) };
}

describeKmsContract("Local", async () => adapterAlone);
describeKmsContract("Local, opened from options with resilience around it", async () => openedFromOptions);

describe("a Local blob", () => {
  const named = (name: string) => createHash("sha256").update(name).digest();
  const knownRing: Ring = {
    id: "01".repeat(16),
    keys: [{ version: 1, key: new Secret(named("ring key")), created: "2026-01-01T00:00:00Z", state: "enabled" }],
  };
  const knownContext = {
    team: "a",
    "coffer:key": "0b".repeat(16),
    "coffer:bucket": "photos",
    "coffer:store": "05".repeat(16),
  };
  const known: Wrapped = {
    provider: "Local",
    kmsKeyId: knownRing.id,
    version: "1",
    bytes: Buffer.from(
      "01010101010101010101010101010101000000014f4553310101100400000000000000000e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e" +
        "284144219e596bf2806080ff355ca886e059c9ba174d859e37f91ac2060c7537dbfe3b5942faf5cc1f782a1d689cb9bcc4014eeb" +
        "8485216df1c39ecf0d17077e8f8c57b507489d607121086d13d269f6",
      "hex",
    ),
  };

  test("of the known answer opens to the bucket key", async () => {
    expect(known.bytes).toHaveLength(132);
    const plain = await createLocalKms(knownRing).unwrap(known, knownContext, PATIENT);
    expect(Buffer.from(plain)).toEqual(named("bucket key"));
  });

  test("has 132 bytes and begins with ring id and version", async () => {
    const ring = withNewVersion(createRing(NOW), NOW);
    const { bytes } = await createLocalKms(ring).wrap(randomBytes(32), CONTEXT, PATIENT);
    expect(bytes).toHaveLength(132);
    expect(Buffer.from(bytes.subarray(0, 24)).toString("hex")).toBe(`${ring.id}000000024f455331`);
  });

  test("is rejected with any one bit flipped, and says no more than that", async () => {
    const kms = createLocalKms(knownRing);
    const messages = new Set<string>();
    for (let bit = 0; bit < known.bytes.length * 8; bit += 1) {
      const bytes = Buffer.from(known.bytes);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      const error = await kms.unwrap({ ...known, bytes }, knownContext, PATIENT).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "rejected", action: "unwrap" });
      messages.add((error as KmsError).message);
    }
    expect(messages.size).toBe(1);
  });

  test("is rejected at every other length", async () => {
    const kms = createLocalKms(knownRing);
    const longer = Buffer.concat([known.bytes, known.bytes]);
    for (let length = 0; length <= longer.length; length += 1) {
      if (length === known.bytes.length) continue;
      const cut = { ...known, bytes: longer.subarray(0, length) };
      expect(await codeOf(kms.unwrap(cut, knownContext, PATIENT))).toBe("rejected");
    }
  });

  test("of a version that the ring does not have yet is not found", async () => {
    const ring = createRing(NOW);
    const wrapped = await createLocalKms(withNewVersion(ring, NOW)).wrap(randomBytes(32), CONTEXT, PATIENT);
    expect(await codeOf(createLocalKms(ring).unwrap(wrapped, CONTEXT, PATIENT))).toBe("not-found");
  });

  test("cannot be moved to another version of the same ring", async () => {
    const ring = withNewVersion(createRing(NOW), NOW);
    const wrapped = await createLocalKms(ring).wrap(randomBytes(32), CONTEXT, PATIENT);
    const bytes = Buffer.from(wrapped.bytes);
    bytes.writeUInt32BE(1, 16);
    expect(await codeOf(createLocalKms(ring).unwrap({ ...wrapped, version: "1", bytes }, CONTEXT, PATIENT))).toBe(
      "rejected",
    );
  });

  test("opens with its own context and no other", async () => {
    const kms = createLocalKms(createRing(NOW));
    const text = fc.string({ unit: "grapheme" });
    const context = fc.dictionary(text, text, { maxKeys: 5, noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(context, context, fc.uint8Array({ minLength: 32, maxLength: 32 }), async (one, other, plain) => {
        const wrapped = await kms.wrap(plain, one, PATIENT);
        expect(Buffer.compare(await kms.unwrap(wrapped, one, PATIENT), plain)).toBe(0);
        fc.pre(JSON.stringify(Object.entries(one).sort()) !== JSON.stringify(Object.entries(other).sort()));
        expect(await codeOf(kms.unwrap(wrapped, other, PATIENT))).toBe("rejected");
      }),
      { numRuns: 200 },
    );
  });

  test("is not made for a context that cannot be written as UTF-8", async () => {
    const kms = createLocalKms(createRing(NOW));
    expect(await codeOf(kms.wrap(randomBytes(32), { bad: "\ud800" }, PATIENT))).toBe("unsupported");
  });
});

describe("the Local KeyAdmin", () => {
  test("makes one version of fifty rotations that race, each over a holder that has changed", async () => {
    const memory = createMemoryHolder(createRing(NOW));
    const admins = Array.from({ length: 50 }, () => createLocalKeyAdmin(memory.holder, memory.ring().id, () => NOW));
    const versions = await Promise.all(admins.map((admin) => admin.rotate("1", PATIENT)));
    expect(new Set(versions)).toEqual(new Set(["2"]));
    expect(memory.ring().keys).toHaveLength(2);
  });

  test("keeps what another wrote between its look and its write", async () => {
    const memory = createMemoryHolder(withNewVersion(createRing(NOW), NOW));
    let interfered = false;
    const holder: RingHolder = {
      read: memory.holder.read,
      async replace(ring, ifTag, signal) {
        if (!interfered) {
          interfered = true;
          memory.set(withNewVersion(memory.ring(), NOW));
        }
        return await memory.holder.replace(ring, ifTag, signal);
      },
    };
    await createLocalKeyAdmin(holder, memory.ring().id, () => NOW).disable("1", PATIENT);
    expect(memory.ring().keys.map(({ version, state }) => `${version} ${state}`)).toEqual([
      "1 disabled",
      "2 enabled",
      "3 enabled",
    ]);
  });

  test("leaves older keys as they were, and dates the new one", async () => {
    const first = createRing(NOW);
    const memory = createMemoryHolder(first);
    const later = new Date("2027-01-01T00:00:00Z");
    await createLocalKeyAdmin(memory.holder, first.id, () => later).rotate("1", PATIENT);
    const [oldKey, newKey] = printRing(memory.ring()).keys;
    expect(oldKey).toEqual(printRing(first).keys[0]);
    expect(newKey).toMatchObject({ version: 2, state: "enabled", created: "2027-01-01T00:00:00.000Z" });
    expect(newKey?.key).not.toBe(oldKey?.key);
    expect(parseRing(printRing(memory.ring())).keys).toHaveLength(2);
  });

  test("does not find its ring where another stands, and does not touch that", async () => {
    const other = createRing(NOW);
    const memory = createMemoryHolder(other);
    const admin = createLocalKeyAdmin(memory.holder, "ff".repeat(16), () => NOW);
    expect(await codeOf(admin.describe(PATIENT))).toBe("not-found");
    expect(await codeOf(admin.rotate("1", PATIENT))).toBe("not-found");
    expect(memory.ring()).toBe(other);
  });

  const media: Readonly<Record<string, [unknown, string]>> = {
    "no permission": [Object.assign(new Error("EACCES: /secret/path"), { code: "EACCES" }), "denied"],
    "a read-only file system": [Object.assign(new Error("EROFS"), { code: "EROFS" }), "denied"],
    "a full disk": [Object.assign(new Error("ENOSPC: /secret/path"), { code: "ENOSPC" }), "unreachable"],
    "a failed read": [new Error("EIO"), "unreachable"],
    "an error of the holder's own": [new KmsError("throttled", "describe", "later"), "throttled"],
  };
  for (const [what, [error, code]] of Object.entries(media)) {
    test(`says "${code}" for ${what}, without the medium's own words`, async () => {
      const holder: RingHolder = { read: () => Promise.reject(error), replace: () => Promise.reject(error) };
      const admin = createLocalKeyAdmin(holder, "00".repeat(16), () => NOW);
      const failure = await admin.describe(PATIENT).catch((thrown: unknown) => thrown);
      expect(failure).toMatchObject({ code, action: "describe" });
      expect((failure as Error).message).not.toMatch(/secret|E[A-Z]{3,}/);
    });
  }
});
