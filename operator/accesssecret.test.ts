import { describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../crds/names.ts";
import { accessSecret, isUsablePair, type SecretLooked, seeAccessSecret } from "./accesssecret.ts";

const OWNER = {
  apiVersion: "coffer.dev/v1alpha1",
  kind: "EncryptedBucket",
  metadata: { namespace: "team", name: "photos", uid: "1" },
};
const PAIR = { accessKeyId: "CFRAAAAAAAAAAAAAAAAA", secret: "a-secret-of-thirty-bytes-or-so" };
const AROUND = { s3Url: "http://s3", restUrl: "http://rest", bucketName: "photos" };

const made = accessSecret(OWNER, "photos-app", PAIR, AROUND);
const withData = (data: Record<string, string>): SecretLooked => ({ ...made, data: { ...made.data, ...data } });

describe("an access Secret", () => {
  it("reads back as the pair that it was made of", () => {
    expect(seeAccessSecret(made, OWNER, AROUND)).toEqual({ kind: "pair", pair: PAIR, isTidy: true });
  });

  it("has every key that applications look for, and no bucket where there is none", () => {
    expect(Object.keys(made.data).sort()).toEqual(Object.values(ACCESS_KEYS).sort());
    const { data } = accessSecret(OWNER, "store-app", PAIR, { ...AROUND, bucketName: undefined });
    expect(data).not.toHaveProperty(ACCESS_KEYS.bucketName);
  });

  it("is absent, another's, or ours", () => {
    expect(seeAccessSecret(undefined, OWNER, AROUND)).toEqual({ kind: "absent" });
    const nobodys = { metadata: { name: "photos-app" }, data: made.data };
    expect(seeAccessSecret(nobodys, OWNER, AROUND)).toEqual({ kind: "foreign", place: 'Secret "photos-app"' });
    const again = { ...OWNER, metadata: { ...OWNER.metadata, uid: "2" } };
    expect(seeAccessSecret(made, again, AROUND).kind).toBe("foreign");
  });

  it("is untidy where anything of ours is not as it should be, and not for what stands beside", () => {
    const isTidy = (secret: SecretLooked) => {
      const seen = seeAccessSecret(secret, OWNER, AROUND);
      return seen.kind === "pair" && seen.isTidy;
    };
    expect(isTidy(withData({ OTHER: "eA==" }))).toBe(true);
    for (const key of Object.values(ACCESS_KEYS)) expect(isTidy(withData({ [key]: "eA==" }))).toBe(false);
  });

  it("has no pair that could be used where somebody has spoiled it", () => {
    for (const value of ["", "eA==", Buffer.from("with a blank in it, and long").toString("base64")]) {
      const seen = seeAccessSecret(withData({ [ACCESS_KEYS.secretAccessKey]: value }), OWNER, AROUND);
      expect(seen.kind === "pair" && isUsablePair(seen.pair)).toBe(false);
    }
  });
});
