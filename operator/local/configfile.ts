// The configuration document as the data plane finds it: one file, whole and durable. It holds keys and credentials.

import { type DataPlaneConfig, parseConfig } from "../../dataplane/config/config.ts";
import { readIfThere, writeDurably } from "./durable.ts";

const FILE_MODE = 0o600;

/** undefined: there is none. Throws ConfigError, or SyntaxError, for what is none. */
export async function readConfigFile(path: string): Promise<DataPlaneConfig | undefined> {
  const text = await readIfThere(path);
  return text === undefined ? undefined : parseConfig(parseJson(text));
}

/** Throws ConfigError for what no data plane would take: then the file stays as it was. */
export async function writeConfigFile(path: string, config: DataPlaneConfig): Promise<void> {
  await writeDurably(path, `${JSON.stringify(parseConfig(config))}\n`, FILE_MODE);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes what it read.
    throw new SyntaxError("it is not JSON");
  }
}
