/** Where this process runs, as the environment says. */
import type { Environment } from "./gather.ts";

/** What stands in the environment. */
export interface Whereabouts {
  /** A file or a folder; undefined: the environment has the settings too. */
  readonly configPath: string | undefined;
  readonly listenAddress: string;
  readonly s3Port: number;
  readonly restPort: number;
  readonly adminPort: number;
  readonly dataDir: string;
  /** For keys and credentials of a data plane that runs alone. */
  readonly secretsDir: string;
  /** How long all is served as before when the process is asked to end, and /readyz says that it is not ready. */
  readonly shutdownDelayMs: number;
}

const SHUTDOWN_DELAY_SECONDS_MAX = 60;

/** What has a problem has its default in its place. */
export function readWhereabouts(environment: Environment): {
  readonly where: Whereabouts;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const whole = (name: string, what: string, most: number, otherwise: number): number => {
    const text = environment[name];
    if (text === undefined || text === "") return otherwise;
    const value = Number(text);
    if (/^[0-9]+$/.test(text) && value <= most) return value;
    problems.push(`${name} must be ${what} from 0 to ${most}`);
    return otherwise;
  };
  const port = (name: string, otherwise: number) => whole(name, "a port", 65_535, otherwise);
  const where = {
    configPath: environment["COFFER_CONFIG"] || undefined,
    listenAddress: environment["COFFER_LISTEN"] || "127.0.0.1",
    s3Port: port("COFFER_S3_PORT", 9000),
    restPort: port("COFFER_REST_PORT", 8080),
    adminPort: port("COFFER_ADMIN_PORT", 9090),
    dataDir: environment["COFFER_DATA_DIR"] || "data",
    secretsDir: environment["COFFER_SECRETS_DIR"] || "secrets",
    shutdownDelayMs: whole("COFFER_SHUTDOWN_DELAY_SECONDS", "whole seconds", SHUTDOWN_DELAY_SECONDS_MAX, 0) * 1000,
  };
  return { where, problems };
}
