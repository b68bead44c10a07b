// Environment → Config, all problems at once. The only file of the operator in a cluster that reads the environment.

import type { LogLevel } from "./log.ts";

export interface Config {
  /** A kubeconfig; undefined: the pod that we run in, else that of whoever runs us. */
  readonly kubeconfig: string | undefined;
  readonly inCluster: { readonly host: string; readonly port: string; readonly folder: string } | undefined;
  /** Where the operator runs: its lease is there. */
  readonly namespace: string;
  /** The name of its pod, as Events show it. */
  readonly podName: string;
  /** Of the data plane; the operator's own. */
  readonly image: string;
  /** undefined: all. */
  readonly watchNamespaces: readonly string[] | undefined;
  readonly logLevel: LogLevel;
  /** Where its health and metrics are asked for; 0: any free port. */
  readonly healthPort: number;
  readonly leaseName: string;
}

export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS: Readonly<Record<string, LogLevel>> = { Error: "error", Warn: "warn", Info: "info", Debug: "debug" };
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function readOwnEnvironment(): Config {
  return readEnvironment(process.env);
}

/** Throws ConfigError with all that is wrong. */
export function readEnvironment(environment: Environment): Config {
  const problems: string[] = [];
  const needed = (name: string): string => {
    const value = environment[name] ?? "";
    if (value === "") problems.push(`${name} must be set`);
    return value;
  };
  const namespace = needed("COFFER_NAMESPACE");
  const image = needed("COFFER_IMAGE");
  const logLevel = LOG_LEVELS[environment["COFFER_LOG_LEVEL"] || "Info"];
  if (logLevel === undefined) problems.push(`COFFER_LOG_LEVEL must be one of ${Object.keys(LOG_LEVELS).join(", ")}`);
  const healthPort = Number(environment["COFFER_HEALTH_PORT"] || 8081);
  if (!Number.isInteger(healthPort) || healthPort < 0 || healthPort > 65_535) {
    problems.push("COFFER_HEALTH_PORT must be a port from 0 to 65535");
  }
  const watched = (environment["COFFER_WATCH_NAMESPACES"] ?? "").split(",").map((name) => name.trim());
  const watchNamespaces = [...new Set(watched.filter((name) => name !== ""))];
  for (const name of watchNamespaces) {
    if (!NAMESPACE.test(name)) problems.push(`COFFER_WATCH_NAMESPACES: "${name}" is not the name of a namespace`);
  }
  if (problems.length > 0) throw new ConfigError(`The environment is not right: ${problems.join("; ")}`);
  return {
    kubeconfig: environment["COFFER_KUBECONFIG"] || undefined,
    inCluster: inClusterOf(environment),
    namespace,
    podName: environment["COFFER_POD_NAME"] || "coffer-operator",
    image,
    watchNamespaces: watchNamespaces.length === 0 ? undefined : watchNamespaces,
    logLevel: logLevel ?? "info",
    healthPort,
    leaseName: environment["COFFER_LEASE_NAME"] || "coffer-operator",
  };
}

const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/** What every pod has. */
function inClusterOf(environment: Environment): Config["inCluster"] {
  const host = environment["KUBERNETES_SERVICE_HOST"];
  const port = environment["KUBERNETES_SERVICE_PORT"];
  if (host === undefined || host === "" || port === undefined || port === "") return undefined;
  return { host, port, folder: environment["COFFER_SERVICE_ACCOUNT_DIR"] || SERVICE_ACCOUNT_FOLDER };
}
