/**
 * Authenticates a request of S3 by Signature V4, in its header or its query, over the raw bytes that came, and decodes
 * its body by what the signature says of it. Reads the head alone.
 */
import { hash, type KeyObject } from "node:crypto";
import type { Credential } from "../access/access.ts";
import { Failure } from "../failure.ts";
import type { Authenticator } from "../http/table.ts";
import type { Snapshot } from "../snapshot.ts";
import { createBody, payloadOf } from "./body.ts";
import { type Claim, claimOf } from "./claim.ts";
import { ChunkSigner, createSigningKeys, sameSignature, sign } from "./signing.ts";
import type { Target } from "./target.ts";

const SKEW_MS = 15 * 60 * 1000;
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Refuses what is not signed; keeps signing keys between requests. */
export function createAuthenticator(): Authenticator<Target> {
  const signingKeys = createSigningKeys();
  return (_head, target, snapshot, nowMs, sent) => {
    const claim = claimOf(target);
    if (claim === undefined) throw new Failure("AccessDenied", "The request is not signed");
    const payloadText = payloadTextOf(target);
    const payload = payloadOf(payloadText);
    checkTime(claim, nowMs);
    checkSignedHeaders(claim, target);
    const credential = credentialOf(claim, snapshot, nowMs);
    const { accessKeyId, secret } = credential.configured;
    const signingKey = signingKeys.get(accessKeyId, secret, claim.day, claim.region);
    checkSignature(claim, target, payloadText, signingKey);
    signingKeys.keep(accessKeyId, secret, claim.day, claim.region, signingKey);
    const signer =
      payload.kind === "chunked" && payload.signed
        ? new ChunkSigner(signingKey, claim.timestamp, claim.scope, claim.signature)
        : undefined;
    return { principal: { kind: "credential", credential }, body: createBody(sent, target.headers, payload, signer) };
  };
}

/** The last line of the canonical request, which also says how the body comes. */
function payloadTextOf(target: Target): string {
  const inQuery = target.presigned ? signedParameter(target, "x-amz-content-sha256") : undefined;
  const named = inQuery ?? target.headers.get("x-amz-content-sha256");
  if (named !== undefined) return named;
  if (target.presigned) return "UNSIGNED-PAYLOAD";
  if (announcesBody(target)) {
    throw new Failure("InvalidRequest", "The header x-amz-content-sha256 is missing: it is needed with a body");
  }
  return EMPTY_SHA256;
}

function signedParameter(target: Target, lowerName: string): string | undefined {
  return target.pairs.find((pair) => pair.name.toLowerCase() === lowerName)?.value;
}

function announcesBody(target: Target): boolean {
  const length = target.headers.get("content-length");
  return (length !== undefined && length !== "0") || target.headers.has("transfer-encoding");
}

function checkTime(claim: Claim, nowMs: number): void {
  if (claim.expiresSeconds === undefined) {
    if (Math.abs(nowMs - claim.signedMs) > SKEW_MS) {
      throw new Failure("RequestTimeTooSkewed", "The date of the request differs too much from the server's clock");
    }
    return;
  }
  if (claim.signedMs - nowMs > SKEW_MS) throw new Failure("AccessDenied", "The presigned request is not valid yet");
  if (nowMs > claim.signedMs + claim.expiresSeconds * 1000) {
    throw new Failure("AccessDenied", "The presigned request has expired");
  }
}

/** `host` and each `x-amz-*` header must be signed; the payload's hash is part of the canonical request anyway. */
function checkSignedHeaders(claim: Claim, target: Target): void {
  const signed = `;${claim.signedHeaders};`;
  const refuse = (name: string) => new Failure("AccessDenied", `The header ${name} is present but not signed`);
  if (!signed.includes(";host;")) throw refuse("host");
  for (const name of target.headers.keys()) {
    if (!name.startsWith("x-amz-") || name === "x-amz-content-sha256") continue;
    if (!signed.includes(`;${name};`)) throw refuse(name);
  }
}

function credentialOf(claim: Claim, snapshot: Snapshot, nowMs: number): Credential {
  const credential = snapshot.credentials.get(claim.accessKeyId);
  // The map also holds hashes of bearer tokens, which are no access keys.
  const known = credential !== undefined && credential.configured.accessKeyId === claim.accessKeyId;
  const endsMs = credential?.configured.endsMs;
  if (!known || (endsMs !== undefined && endsMs <= nowMs)) {
    throw new Failure("InvalidAccessKeyId", "The access key id does not exist");
  }
  return credential;
}

function checkSignature(claim: Claim, target: Target, payloadText: string, signingKey: KeyObject): void {
  const canonical = canonicalRequest(claim, target, payloadText);
  // latin1: header values are hashed as the bytes that came.
  const canonicalSha256 = hash("sha256", Buffer.from(canonical, "latin1"), "hex");
  const ours = sign(signingKey, `AWS4-HMAC-SHA256\n${claim.timestamp}\n${claim.scope}\n${canonicalSha256}`);
  if (!sameSignature(ours, claim.signature)) {
    throw new Failure(
      "SignatureDoesNotMatch",
      "The signature does not match: check the secret access key, and that nothing changes the request on its way",
    );
  }
}

function canonicalRequest(claim: Claim, target: Target, payloadText: string): string {
  let lines = "";
  for (const name of claim.signedHeaders.split(";")) lines += `${name}:${canonicalValue(target.headers.get(name))}\n`;
  const { method } = target;
  return `${method}\n${target.canonicalPath}\n${canonicalQuery(target)}\n${lines}\n${claim.signedHeaders}\n${payloadText}`;
}

function canonicalValue(value: string | undefined): string {
  if (value === undefined) return "";
  const trimmed = value.trim();
  return trimmed.includes("  ") ? trimmed.replace(/ {2,}/g, " ") : trimmed;
}

function canonicalQuery(target: Target): string {
  if (target.pairs.length === 0) return "";
  const covered = target.pairs.filter((pair) => pair.name.toLowerCase() !== "x-amz-signature");
  covered.sort((a, b) => compare(a.encodedName, b.encodedName) || compare(a.encodedValue, b.encodedValue));
  return covered.map((pair) => `${pair.encodedName}=${pair.encodedValue}`).join("&");
}

/** Of ASCII texts, whose units are their bytes. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
