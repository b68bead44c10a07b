import { describe, expect, it } from "vitest";
import { accessFileName, accessSecretName, keyRingName, storeConfigName, storeObjectName } from "./names.ts";
import { BESIDE_READY, READY_PARTS, REASONS, WHILE_TRUE } from "./reasons.ts";

describe("names of what is made for a resource", () => {
  it("come from the resource's name", () => {
    expect(storeObjectName("default")).toBe("coffer-default");
    expect(storeConfigName("default")).toBe("coffer-default-config");
    expect(keyRingName("local")).toBe("local-key-ring");
    expect(accessSecretName("photos", { name: "app" })).toBe("photos-app");
    expect(accessSecretName("photos", { name: "app", secretName: "keys" })).toBe("keys");
    expect(accessFileName("photos", "app")).toBe("photos-app.env");
  });
});

describe("reasons", () => {
  it("are CamelCase, and each stands once in its list", () => {
    for (const reasons of Object.values(REASONS)) {
      expect(new Set(reasons).size).toBe(reasons.length);
      for (const reason of reasons) {
        expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
      }
    }
  });

  it("exist for every condition of every kind; Stalled repeats another's", () => {
    const conditions = [...Object.values(READY_PARTS).flat(), ...Object.values(BESIDE_READY).flat(), ...WHILE_TRUE];
    const silent = conditions.filter((condition) => condition !== "Stalled" && !Object.hasOwn(REASONS, condition));
    expect(silent).toEqual([]);
  });
});
