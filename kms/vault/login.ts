// The ways to get a token from Vault, to prolong it and to give it back. When to do which is session.ts's.

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { Secret } from "../secret.ts";
import type { VaultAuth } from "../vault-options.ts";
import { LoginFailed, NoAnswer, Refusal } from "./answers.ts";
import type { VaultAnswer, VaultApi } from "./api.ts";
import type { RefusedLogins } from "./refused-logins.ts";

/** A token, and for how long. */
export interface Lease {
  readonly token: Secret;
  /** Infinity: it does not end. */
  readonly ttlMs: number;
  readonly renewable: boolean;
}

/** What yields a new token whenever it is asked. */
export type LoginAuth = Exclude<VaultAuth, { method: "token" }>;

/** How to log in, where, and what was refused there. */
export interface LoginPlace {
  readonly auth: LoginAuth;
  readonly api: VaultApi;
  readonly refusedLogins: RefusedLogins;
}

/** Rejects with LoginFailed where another try would end the same. */
export async function logIn({ auth, api, refusedLogins }: LoginPlace, signal: AbortSignal): Promise<Lease> {
  const { words, credentials } = await credentialsOf(auth, signal);
  const path = `auth/${auth.mountPath}/login`;
  const id = digestOf([api.place, path, credentials]);
  const login = async () => leaseOf(await api.write(path, credentials, { repeatable: true }, signal));
  return await refusedLogins.attempt(id, () => login().catch(failedBy(auth, words)), signal);
}

function failedBy(auth: LoginAuth, words: string): (error: unknown) => never {
  return (error) => {
    const isFinal = error instanceof Refusal && error.status >= 400 && error.status < 500 && error.status !== 429;
    if (!isFinal) throw error;
    // Of the methods here only AppRole locks out; to a role that is locked out it says 403, and counts no further.
    const isCounted = auth.method === "appRole" && error.status === 400;
    const message = `Vault refuses the login by ${words} (status ${error.status})`;
    throw new LoginFailed(message, { cause: error, isCounted });
  };
}

/** Tells credentials apart without keeping them. */
function digestOf(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64");
}

/** The same token, for longer. What it is given may be less than what it had: nothing is renewed beyond its greatest age. */
export async function renew(token: Secret, api: VaultApi, signal: AbortSignal): Promise<Lease> {
  return leaseOf(await api.write("auth/token/renew-self", {}, { token, repeatable: true }, signal));
}

/** What Vault knows of a token. Rejects with Refusal for one that is not valid, or may not ask. */
export async function lookUp(token: Secret, api: VaultApi, signal: AbortSignal): Promise<Lease> {
  const { data } = await api.read("auth/token/lookup-self", token, signal);
  // Whole seconds, so that a token in its last one has none left, like a token that never ends.
  const isEnding = data["ttl"] === 0 && typeof data["expire_time"] === "string";
  const ttlMs = isEnding ? LAST_SECOND_MS : ttlMsOf(data["ttl"]);
  return { token, ttlMs, renewable: data["renewable"] === true };
}

const LAST_SECOND_MS = 500;

export async function revoke(token: Secret, api: VaultApi, signal: AbortSignal): Promise<void> {
  await api.write("auth/token/revoke-self", {}, { token, repeatable: true }, signal);
}

interface Credentials {
  readonly words: string;
  readonly credentials: object;
}

async function credentialsOf(auth: LoginAuth, signal: AbortSignal): Promise<Credentials> {
  switch (auth.method) {
    case "appRole":
      return { words: "AppRole", credentials: { role_id: auth.roleId, secret_id: auth.secretId.reveal() } };
    case "kubernetes": {
      const jwt = await readServiceAccountToken(auth.tokenPath, signal);
      return { words: "Kubernetes", credentials: { role: auth.role, jwt } };
    }
  }
}

const TOKEN_BYTES_MAX = 65_536;

/** Anew each time: the kubelet replaces the file long before the token in it ends. */
async function readServiceAccountToken(path: string, signal: AbortSignal): Promise<string> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > TOKEN_BYTES_MAX) throw new Error(`It has ${size} bytes`);
    text = (await readFile(path, { encoding: "utf8", signal })).trim();
  } catch (error) {
    signal.throwIfAborted();
    throw new LoginFailed("The ServiceAccount token for the login at Vault cannot be read", { cause: error });
  }
  if (text === "") throw new LoginFailed("The file of the ServiceAccount token for the login at Vault is empty");
  return text;
}

function leaseOf({ auth }: VaultAnswer): Lease {
  const token = auth["client_token"];
  if (typeof token !== "string" || !/^[!-~]+$/.test(token)) {
    throw new NoAnswer("unreachable", "What answered the login is no Vault: there is no token in it");
  }
  return { token: new Secret(token), ttlMs: ttlMsOf(auth["lease_duration"]), renewable: auth["renewable"] === true };
}

/** In seconds; 0: for ever. */
function ttlMsOf(seconds: unknown): number {
  return typeof seconds === "number" && seconds > 0 ? seconds * 1000 : Number.POSITIVE_INFINITY;
}
