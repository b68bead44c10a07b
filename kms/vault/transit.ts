// One transit key of Vault: questions about it, asked with a token that is valid, failures in words of kms.ts.

import { type KmsAction, KmsError } from "../kms.ts";
import type { Secret } from "../secret.ts";
import type { Timers } from "../timers.ts";
import { type VaultOptions, vaultKeyId } from "../vault-options.ts";
import { kmsErrorOf, NoAnswer, Refusal } from "./answers.ts";
import { createVaultApi, type VaultAnswer } from "./api.ts";
import { createGivenToken } from "./given-token.ts";
import { createOwnLogin } from "./own-login.ts";
import type { RefusedLogins } from "./refused-logins.ts";
import type { Session } from "./session.ts";

/** What an adapter is made with, beside its options. */
export interface VaultMeans {
  /** Of each question to the server. */
  readonly timeoutMs: number;
  readonly timers: Timers;
  /** Of all adapters in the process. */
  readonly refusedLogins: RefusedLogins;
}

export interface TransitKey {
  /** As records name it. */
  readonly id: string;
  /** The members of `data` that Vault answers. All reject with KmsError, or with the signal's reason. */
  read(action: KmsAction, signal: AbortSignal): Promise<Fields>;
  /** `verb` as Vault writes it before the key's name. */
  ask(action: KmsAction, verb: "encrypt" | "decrypt" | "rewrap", json: object, signal: AbortSignal): Promise<Fields>;
  /** Below the key's name. */
  change(action: KmsAction, what: "rotate" | "config", json: object, signal: AbortSignal): Promise<Fields>;
  /** Whether `ask` is refused for want of a context: true of a derived key, and of no other. */
  wantsContext(action: KmsAction, signal: AbortSignal): Promise<boolean>;
  close(): Promise<void>;
}

export type Fields = VaultAnswer["data"];

/** No type of key has this name. Asked to encrypt under a key that is not there, Vault would make one of the type that is
 *  named; under one that is there it pays no heed. */
const NO_TYPE = "must-exist";

export function createTransitKey(options: VaultOptions, { timeoutMs, timers, refusedLogins }: VaultMeans): TransitKey {
  const { mount, keyName } = options;
  const id = vaultKeyId(options);
  const api = createVaultApi(options, timeoutMs);
  const { auth } = options;
  const session =
    auth.method === "token"
      ? createGivenToken(auth.token, api, timers)
      : createOwnLogin({ auth, api, refusedLogins }, timers);

  async function asked(action: KmsAction, question: Question, signal: AbortSignal): Promise<Fields> {
    signal.throwIfAborted();
    try {
      return (await askWithToken(session, question, signal)).data;
    } catch (error) {
      signal.throwIfAborted();
      throw kmsErrorOf(error, action, id);
    }
  }

  function posted(verb: string, json: object, signal: AbortSignal): Question {
    const body = verb === "encrypt" ? { ...json, type: NO_TYPE } : json;
    return (token) => api.write(`${mount}/${verb}/${keyName}`, body, { token, repeatable: true }, signal);
  }

  return {
    id,

    read: (action, signal) => asked(action, (token) => api.read(`${mount}/keys/${keyName}`, token, signal), signal),

    ask: (action, verb, json, signal) => asked(action, posted(verb, json, signal), signal),

    change(action, what, json, signal) {
      const path = `${mount}/keys/${keyName}/${what}`;
      return asked(action, (token) => api.write(path, json, { token, repeatable: false }, signal), signal);
    },

    async wantsContext(action, signal) {
      const encrypt = posted("encrypt", { plaintext: "" }, signal);
      const question: Question = async (token) => {
        try {
          await encrypt(token);
        } catch (error) {
          if (error instanceof Refusal && error.says("missing 'context'")) return WANTED;
          throw error;
        }
        return NOT_WANTED;
      };
      return (await asked(action, question, signal)) === WANTED.data;
    },

    async close() {
      await session.close();
      api.close();
    },
  };
}

type Question = (token: Secret) => Promise<VaultAnswer>;

const WANTED: VaultAnswer = { data: {}, auth: {} };
const NOT_WANTED: VaultAnswer = { data: {}, auth: {} };

/** A refused token is replaced once; what the other one is refused is meant. */
async function askWithToken(session: Session, question: Question, signal: AbortSignal): Promise<VaultAnswer> {
  const token = await session.token(signal);
  try {
    return await question(token);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 403) throw error;
    const other = await session.replace(token, signal);
    if (other === undefined) throw error;
    return await question(other);
  }
}

/** A member that Vault always sends: a text, or a number that counts from 1. */
export function textOf(fields: Fields, name: string, action: KmsAction): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw incomplete(action);
}

export function countOf(fields: Fields, name: string, action: KmsAction): number {
  const value = fields[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw incomplete(action);
}

function incomplete(action: KmsAction): KmsError {
  const cause = new NoAnswer("unreachable", "A member of the answer is missing");
  return new KmsError("unreachable", action, "What answered is no Vault: a part of its answer is missing", { cause });
}
