/** Who asks: a bearer token, known only by its SHA-256. The token itself is neither kept nor logged. */
import { hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Principal } from "../access/access.ts";
import { Failure } from "../failure.ts";
import type { Snapshot } from "../snapshot.ts";

const TOKEN = /^Bearer +([A-Za-z0-9._~+/=-]{1,512}) *$/i;

/** Throws Unauthorized where no token was given, InvalidToken for one that is malformed, unknown or has ended. */
export function principalOf(head: IncomingMessage, snapshot: Snapshot, nowMs: number): Principal {
  const header = head.headers.authorization;
  if (header === undefined) {
    throw new Failure("Unauthorized", "The request has no bearer token", {
      headers: { "WWW-Authenticate": 'Bearer realm="coffer"' },
    });
  }
  const token = TOKEN.exec(header)?.[1];
  if (token === undefined) throw invalidToken();
  const tokenSha256 = hash("sha256", token, "hex");
  const credential = snapshot.credentials.get(tokenSha256);
  // The map holds access key ids too: one that looks like a hash must not stand for a token.
  if (credential === undefined || credential.configured.tokenSha256 !== tokenSha256) throw invalidToken();
  const { endsMs } = credential.configured;
  if (endsMs !== undefined && endsMs <= nowMs) throw invalidToken();
  return { kind: "credential", credential };
}

function invalidToken(): Failure {
  return new Failure("InvalidToken", "The bearer token is not valid", {
    headers: { "WWW-Authenticate": 'Bearer realm="coffer", error="invalid_token"' },
  });
}
