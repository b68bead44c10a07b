// The part of a Kubernetes API server that Vault's Kubernetes auth method asks: TokenReview. Like the real one it knows
// ServiceAccount tokens by signature, end and audience, and answers nobody who does not show a reviewer's token.

import { generateKeyPairSync, type KeyObject, randomUUID, sign, verify } from "node:crypto";
import { once } from "node:events";
import http from "node:http";

export interface TokenReviewer {
  readonly address: string;
  /** What Vault must show. */
  readonly reviewerJwt: string;
  /** What the kubelet would put into a pod. */
  issue(account: { namespace: string; name: string; audience: string; ttlSeconds?: number }): string;
  /** How often it was asked. */
  reviews(): number;
  close(): Promise<void>;
}

interface Claims {
  readonly aud: readonly string[];
  readonly exp: number;
  readonly sub: string;
  readonly "kubernetes.io": { readonly namespace: string; readonly serviceaccount: { name: string; uid: string } };
}

const ISSUER = "https://kubernetes.default.svc.cluster.local";
const PATH = "/apis/authentication.k8s.io/v1/tokenreviews";

export async function startTokenReviewer(): Promise<TokenReviewer> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const reviewerJwt = issue(privateKey, { namespace: "vault", name: "reviewer", audience: ISSUER, ttlSeconds: 3600 });
  let reviews = 0;
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const answer = (status: number, json: object) => {
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
      };
      if (request.method !== "POST" || request.url !== PATH) return answer(404, { kind: "Status", code: 404 });
      if (request.headers.authorization !== `Bearer ${reviewerJwt}`) return answer(401, { kind: "Status", code: 401 });
      reviews += 1;
      const review = JSON.parse(Buffer.concat(chunks).toString("utf8")) as {
        spec: { token: string; audiences?: string[] };
      };
      return answer(201, { ...review, status: statusOf(publicKey, review.spec) });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    address: `http://127.0.0.1:${port}`,
    reviewerJwt,
    issue: (account) => issue(privateKey, { ttlSeconds: 3600, ...account }),
    reviews: () => reviews,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function statusOf(
  publicKey: KeyObject,
  { token, audiences = [ISSUER] }: { token: string; audiences?: string[] },
): object {
  const claims = claimsOf(publicKey, token);
  if (claims === undefined) return { authenticated: false, error: "invalid bearer token" };
  const common = claims.aud.filter((audience) => audiences.includes(audience));
  if (common.length === 0)
    return { authenticated: false, error: "token audiences are invalid for the target audiences" };
  const { namespace, serviceaccount } = claims["kubernetes.io"];
  const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
  return {
    authenticated: true,
    audiences: common,
    user: { username: claims.sub, uid: serviceaccount.uid, groups },
  };
}

function issue(
  privateKey: KeyObject,
  account: { namespace: string; name: string; audience: string; ttlSeconds: number },
): string {
  const { namespace, name, audience, ttlSeconds } = account;
  const nowSeconds = Math.floor(Date.now() / 1000);
  const claims = {
    aud: [audience],
    exp: nowSeconds + ttlSeconds,
    iat: nowSeconds - 1,
    nbf: nowSeconds - 1,
    iss: ISSUER,
    sub: `system:serviceaccount:${namespace}:${name}`,
    jti: randomUUID(),
    "kubernetes.io": { namespace, serviceaccount: { name, uid: `uid-of-${namespace}-${name}` } },
  };
  const signed = `${encoded({ alg: "RS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
}

function claimsOf(publicKey: KeyObject, token: string): Claims | undefined {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify("sha256", signed, publicKey, Buffer.from(signature, "base64url"))) return undefined;
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Claims;
  return claims.exp > Date.now() / 1000 ? claims : undefined;
}

function encoded(json: object): string {
  return Buffer.from(JSON.stringify(json)).toString("base64url");
}
