// Where the API server is and who we are for it: as a kubeconfig says, by the Kubernetes client, which is loaded here
// alone; or as the files say that every pod has.

import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { join } from "node:path";

export interface Identity {
  readonly url: URL;
  /** `options` names an agent that must be used. */
  readonly isProxied: boolean;
  /** TLS and headers of a request that is made now. */
  options(): Promise<RequestOptions>;
}

export interface PodWhereabouts {
  readonly host: string;
  readonly port: string;
  /** Where the token and the certificate of the authority are. */
  readonly folder: string;
}

/** The kubelet writes tokens anew long before they end. */
const READ_AGAIN_MS = 60_000;

export function podIdentity({ host, port, folder }: PodWhereabouts): Identity {
  let read: { readonly atMs: number; readonly options: Promise<RequestOptions> } | undefined;
  return {
    url: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    isProxied: false,
    async options() {
      if (read === undefined || performance.now() - read.atMs > READ_AGAIN_MS) {
        read = { atMs: performance.now(), options: readFolder(folder) };
      }
      return await read.options.catch((error: unknown) => {
        read = undefined;
        throw error;
      });
    },
  };
}

async function readFolder(folder: string): Promise<RequestOptions> {
  const [ca, token] = await Promise.all([
    readFile(join(folder, "ca.crt"), "utf8"),
    readFile(join(folder, "token"), "utf8"),
  ]);
  return { ca, headers: { authorization: `Bearer ${token.trim()}` } };
}

/** undefined: that of the environment, or of the home folder. */
export async function kubeconfigIdentity(file: string | undefined): Promise<Identity> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("The kubeconfig has no current cluster");
  return {
    url: new URL(cluster.server),
    isProxied: cluster.proxyUrl !== undefined && cluster.proxyUrl !== "",
    async options() {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return options;
    },
  };
}
