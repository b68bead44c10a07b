// The clients that users have: the AWS SDK for JavaScript and boto3 with their default settings, REST by plain HTTP.

import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { ACCESS_KEYS } from "../crds/names.ts";
import type { Credentials } from "./harness.ts";
import { preparePython } from "./python.ts";

const run = promisify(execFile);

/** Nothing is set but what a user must say: where, who, and that buckets have no host names of their own. */
export function s3Client({ endpoint, region, accessKeyId, secretAccessKey }: Credentials): S3Client {
  return new S3Client({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true });
}

/** Where a test was started without `npm test`, which brings clients first. */
export function sayAside(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The environment that an application is given, with nothing else of AWS in it. */
export function applicationEnvironment(credentials: Credentials): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_"));
  return {
    ...Object.fromEntries(others),
    [ACCESS_KEYS.s3Endpoint]: credentials.endpoint,
    [ACCESS_KEYS.region]: credentials.region,
    [ACCESS_KEYS.defaultRegion]: credentials.region,
    [ACCESS_KEYS.accessKeyId]: credentials.accessKeyId,
    [ACCESS_KEYS.secretAccessKey]: credentials.secretAccessKey,
    [ACCESS_KEYS.bucketName]: credentials.bucket,
    [ACCESS_KEYS.restUrl]: credentials.restUrl,
    [ACCESS_KEYS.token]: credentials.token,
  };
}

/** Runs a script with boto3, in an application's environment, and parses the JSON that it prints. */
export async function runPython<Printed>(script: string, credentials: Credentials): Promise<Printed> {
  const python = join(await preparePython("boto3", sayAside), "python");
  const env = applicationEnvironment(credentials);
  const { stdout } = await run(python, ["-c", script], { env, maxBuffer: 64 * 1024 * 1024, timeout: 300_000 });
  return JSON.parse(stdout) as Printed;
}

/** A request of an object by REST. */
export function restObject(
  { restUrl, token, bucket }: Credentials,
  name: string,
  request: RequestInit & { headers?: Record<string, string> } = {},
): Promise<Response> {
  const path = name.split("/").map(encodeURIComponent).join("/");
  return fetch(`${restUrl}/api/v1/buckets/${bucket}/objects/${path}`, {
    ...request,
    headers: { Authorization: `Bearer ${token}`, ...request.headers },
  });
}

export interface ShellRun {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs lines as a person pastes them: in a shell that knows nothing but the path and the home folder. */
export async function runShell(lines: string, folder: string): Promise<ShellRun> {
  const { PATH, HOME } = process.env;
  const child = spawn("bash", ["-c", lines], { cwd: folder, env: { PATH, HOME }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject);
  child.once("close", resolve);
  return { code: await promise, output, errors };
}
