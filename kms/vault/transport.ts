// One question to the server and its answer, over HTTP or TLS: with a deadline, a signal, a bound on what comes back, and
// certificates always verified. Follows no redirect, uses no proxy, reads no environment. Knows nothing of Vault's paths.

import http from "node:http";
import https from "node:https";
import { NoAnswer } from "./answers.ts";

export interface Question {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: unknown;
  /** Whether it may be asked twice: of what a server that closes an idle connection has never seen, nothing is known. */
  readonly repeatable: boolean;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** JSON; undefined if there was none, text if it was none. */
  readonly body: unknown;
}

export interface Transport {
  /** Rejects with NoAnswer, or with the signal's reason. */
  ask(question: Question): Promise<Answer>;
  close(): void;
}

export interface TransportSettings {
  readonly address: string;
  readonly tlsServerName: string | undefined;
  readonly caBundle: string | undefined;
  readonly timeoutMs: number;
}

/** A description of a key with ten thousand versions has a fifth of this. */
const ANSWER_BYTES_MAX = 1 << 20;
const CONNECTIONS_MAX = 64;
/** Less than the minute after which load balancers drop what is idle. */
const IDLE_MS = 30_000;

export function createTransport(settings: TransportSettings): Transport {
  const { address, caBundle, tlsServerName, timeoutMs } = settings;
  const isTls = new URL(address).protocol === "https:";
  const pool = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_MS };
  const agent = isTls
    ? new https.Agent({
        ...pool,
        rejectUnauthorized: true,
        minVersion: "TLSv1.2",
        ...(caBundle === undefined ? {} : { ca: caBundle }),
        ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
      })
    : new http.Agent(pool);
  const open = (question: Question, body: Buffer | undefined) => {
    const { method, url, headers } = question;
    const length = body === undefined ? {} : { "content-type": "application/json", "content-length": body.length };
    const options = { method, agent, headers: { ...headers, ...length } };
    return isTls ? https.request(url, options) : http.request(url, options);
  };
  return {
    async ask(question) {
      question.signal.throwIfAborted();
      const body = question.json === undefined ? undefined : Buffer.from(JSON.stringify(question.json));
      for (;;) {
        const request = open(question, body);
        try {
          return await answerTo(request, body, question.signal, timeoutMs);
        } catch (error) {
          // A connection that was closed while it was idle says so once it is used; the next one may be as old.
          if (!question.repeatable || !request.reusedSocket || !isReset(error)) throw error;
        }
      }
    },
    close: () => agent.destroy(),
  };
}

function answerTo(
  request: http.ClientRequest,
  body: Buffer | undefined,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const leave = () => end(() => reject(signal.reason));
    const timer = setTimeout(() => {
      end(() => reject(new NoAnswer("unreachable", `Vault did not answer within ${timeoutMs} ms`)));
    }, timeoutMs);
    let over = false;

    /** Once. What was not answered whole leaves a connection that is of no more use. */
    function end(settle: () => void): void {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      settle();
      request.destroy();
    }

    signal.addEventListener("abort", leave, { once: true });
    request.on("error", (error) => end(() => reject(noAnswerOf(error))));
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk);
        else end(() => reject(new NoAnswer("unreachable", "Vault answered with more than it ever should")));
      });
      response.on("error", (error) => end(() => reject(noAnswerOf(error))));
      response.on("close", () => end(() => reject(new NoAnswer("unreachable", "Vault broke off its answer"))));
      response.on("end", () => {
        if (!response.complete || over) return;
        over = true;
        clearTimeout(timer);
        signal.removeEventListener("abort", leave);
        resolve({
          status: response.statusCode ?? 0,
          retryAfterMs: retryAfterMsOf(response.headers["retry-after"]),
          body: parsed(Buffer.concat(chunks)),
        });
      });
    });
    request.end(body);
  });
}

function parsed(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  const text = bytes.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    // Judged as what it is: text.
    return text;
  }
}

/** Vault gives whole seconds; the other form of the header is a date. */
function retryAfterMsOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

/** How OpenSSL and Node name what is wrong with a handshake or a certificate. */
const TLS_CODES =
  /^(ERR_SSL_|ERR_TLS_|EPROTO$|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERROR_IN_C|HOSTNAME_MISMATCH|INVALID_|PATH_LENGTH_|EE_KEY_|CA_KEY_|CA_MD_)/;

function noAnswerOf(error: Error): NoAnswer {
  const code = codeOf(error) ?? "no further word";
  return TLS_CODES.test(code)
    ? new NoAnswer("tls", `There is no trusted TLS connection to Vault (${code})`, error)
    : new NoAnswer("unreachable", `Vault cannot be reached (${code})`, error);
}

function isReset(error: unknown): boolean {
  const code = error instanceof NoAnswer ? codeOf(error.cause) : undefined;
  return code === "ECONNRESET" || code === "EPIPE";
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
