// `npm start`: one data plane on this machine, ruled by a folder of the same YAML that a cluster takes. Wiring only.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createBell } from "./bell.ts";
import { createChild } from "./child.ts";
import { readConfigFile } from "./configfile.ts";
import { prepareFolder } from "./durable.ts";
import { readFolder } from "./folder.ts";
import { urlsOf } from "./hints.ts";
import { takeLock } from "./lock.ts";
import { freePorts } from "./ports.ts";
import { createProviders } from "./providers.ts";
import { runRuntime } from "./runtime.ts";
import { HELP, LISTEN_ADDRESS, type LocalSettings, parseSettings, shownPath } from "./settings.ts";
import { readStatusFiles } from "./statusfiles.ts";
import { stopOnSignals } from "./stopping.ts";
import { createTerminal, type Terminal } from "./terminal.ts";
import { watchFiles } from "./watcher.ts";

const FAILED = 1;
const MISUSED = 2;

const terminal = createTerminal(process.stdout, process.stderr);
const parsed = parseSettings(process.argv.slice(2), process.env);
if (parsed.kind === "help") {
  process.stdout.write(HELP);
} else if (parsed.kind === "wrong") {
  for (const problem of parsed.problems) terminal.warn(problem);
  process.exitCode = MISUSED;
} else {
  process.exitCode = await start(parsed.settings, terminal).catch((error: unknown) => {
    terminal.warn(error instanceof Error ? error.message : String(error));
    return FAILED;
  });
}

/** Resolves with the exit code when all has stopped. */
async function start(settings: LocalSettings, out: Terminal): Promise<number> {
  const { folder, dataDir, secretsDir, ports } = settings;
  const paths = {
    statusDir: join(dataDir, "status"),
    accessDir: join(dataDir, "access"),
    logsDir: join(dataDir, "logs"),
    configPath: join(secretsDir, "config.json"),
  };
  await readFolder(folder).catch(() => {
    throw new Error(`The folder ${shownPath(folder)} cannot be read: give one that holds the YAML of your resources`);
  });
  await prepareFolder(secretsDir, 0o700);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const locks = [takeLock(secretsDir), takeLock(dataDir)];
  if (locks.includes(undefined)) {
    out.warn(`Another npm start uses ${shownPath(dataDir)} or ${shownPath(secretsDir)}: stop it, or set`);
    out.warn("COFFER_DATA_DIR, COFFER_SECRETS_DIR and the three ports for one beside it (npm start -- --help)");
    return FAILED;
  }
  for (const path of [paths.statusDir, paths.accessDir, paths.logsDir]) await prepareFolder(path, 0o700);

  const stopping = stopOnSignals(out);
  if (!(await freePorts(ports, out, stopping.signal))) return FAILED;
  out.say(`Coffer does as ${shownPath(folder)} says: edit a file there, and it acts at once. Ctrl-C stops it.`);
  const { records, problems } = await readStatusFiles(paths.statusDir);
  for (const problem of problems) out.warn(problem);
  const config = await readConfigFile(paths.configPath).catch((error: unknown) => {
    out.warn(`${shownPath(paths.configPath)} is made anew: ${error instanceof Error ? error.message : "unreadable"}`);
    return undefined;
  });

  const now = () => new Date();
  const bell = createBell();
  const environment = {
    ...process.env,
    COFFER_CONFIG: paths.configPath,
    COFFER_LISTEN: LISTEN_ADDRESS,
    COFFER_S3_PORT: String(ports.s3),
    COFFER_REST_PORT: String(ports.rest),
    COFFER_ADMIN_PORT: String(ports.admin),
    COFFER_DATA_DIR: dataDir,
    COFFER_SECRETS_DIR: secretsDir,
  };
  const child = createChild({ environment, logsDir: paths.logsDir, terminal: out, onChange: bell.ring });
  stopping.again(() => void child.stop());
  const providers = createProviders(secretsDir, now, bell.ring);
  const runtime = {
    ...paths,
    folder,
    urls: urlsOf(ports),
    providers,
    child,
    bell,
    terminal: out,
    records,
    config,
    now,
  };
  try {
    await watchFiles({ folder, accessDir: paths.accessDir, secretsDir }, bell.ring, stopping.signal);
    await runRuntime(runtime, stopping.signal);
  } finally {
    stopping.stop();
    await child.stop();
    for (const lock of locks) lock?.release();
  }
  return 0;
}
