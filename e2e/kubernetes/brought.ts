// What is known of a cluster that was brought, whichever way.

import type { ApiServerAccess } from "../cluster/controlplane.ts";

export interface Cluster extends ApiServerAccess {
  readonly kind: "given" | "kind" | "one node";
  /** For people. */
  readonly what: string;
  readonly kubeconfig: string;
  readonly kubectl: string;
  /** How pods reach servers of this machine that listen on `hostAddress`. */
  readonly hostName: string;
  readonly hostAddress: string;
  /** This machine reaches the addresses of pods and Services. */
  readonly isRouted: boolean;
  /** A line for each request to the API server; undefined: nobody may read it. */
  readonly auditLog: string | undefined;
  /** A folder on this machine that has all volumes in it; undefined: they are elsewhere. */
  readonly volumes: string | undefined;
}

export interface BroughtImage {
  readonly repository: string;
  readonly tag: string;
  /** It is the one that the chart names by default. */
  readonly isDefault: boolean;
}

export interface Brought {
  readonly cluster: Cluster;
  readonly image: BroughtImage;
  /** Ends it, unless it was there before or is to stay. */
  stop(): Promise<void>;
}

/** What tests have of it, with the chart on it. Plain data: it goes to their processes. */
export interface SharedCluster extends Cluster {
  readonly helm: string;
  readonly operatorNamespace: string;
  /** REPOSITORY:TAG, of the operator and of every pod that it makes. */
  readonly image: string;
  /** From `helm install` to an operator that is ready. */
  readonly installMs: number;
}
