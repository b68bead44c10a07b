// The configuration of each store, where its pods find it: one Secret, JSON under gzip. The only memory that credentials
// which were replaced have, so it is written over exactly what was read and nothing else.

import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { EncryptedStore } from "../crds/encryptedstore.ts";
import { storeConfigName } from "../crds/names.ts";
import { type DataPlaneConfig, parseConfig } from "../dataplane/config/config.ts";
import type { ResourceName } from "./kind.ts";
import type { Kube } from "./kube/client.ts";
import type { NamedReader } from "./kube/namedreader.ts";
import { type ObjectMetadata, RESOURCES, type SecretObject } from "./kube/resources.ts";
import { isControlledBy, labelsOf, ownedBy } from "./manifest.ts";

/** The key in the Secret, and the name of the file in the pods. */
const CONFIG_FILE = "config.json";
/** What a Secret can hold is a little more. */
const CONFIG_BYTES_MAX = 1_000_000;

export type StoredConfig =
  /** `config` is undefined where there is none yet, or what is there cannot be read any more. */
  | { readonly kind: "ours"; readonly secret: SecretObject | undefined; readonly config: DataPlaneConfig | undefined }
  /** A Secret of that name is another's. */
  | { readonly kind: "taken" };

export class StoreConfigs {
  readonly #kube: Kube;
  readonly #secrets: NamedReader<SecretObject>;
  readonly #parsed = new WeakMap<SecretObject, DataPlaneConfig | undefined>();

  constructor(kube: Kube, secrets: NamedReader<SecretObject>) {
    this.#kube = kube;
    this.#secrets = secrets;
  }

  async find(store: EncryptedStore, signal: AbortSignal): Promise<StoredConfig> {
    const secret = await this.#secrets.read(configName(store), signal);
    if (secret === undefined) return { kind: "ours", secret: undefined, config: undefined };
    if (!isControlledBy(secret, store)) return { kind: "taken" };
    return { kind: "ours", secret, config: await this.#parse(secret) };
  }

  /** Over `before`, or where nothing was. Fails with `conflict` where something else is. */
  async write(
    store: EncryptedStore,
    config: DataPlaneConfig,
    before: SecretObject | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const packed = await pack(config);
    const data = { [CONFIG_FILE]: packed.toString("base64") };
    const metadata: ObjectMetadata = {
      ...configName(store),
      ...(before === undefined ? {} : before.metadata),
      labels: { ...before?.metadata.labels, ...labelsOf(store.metadata.name, "data-plane") },
      ownerReferences: ownedBy(store),
    };
    const secret: SecretObject = { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data };
    const written =
      before === undefined
        ? await this.#kube.create(RESOURCES.secrets, secret, signal)
        : await this.#kube.replace(RESOURCES.secrets, secret, signal);
    this.#parsed.set(written, config);
    this.#secrets.note(written);
  }

  /** What a hand has spoiled is no configuration: it is written anew. */
  async #parse(secret: SecretObject): Promise<DataPlaneConfig | undefined> {
    if (this.#parsed.has(secret)) return this.#parsed.get(secret);
    const config = await unpack(Buffer.from(secret.data?.[CONFIG_FILE] ?? "", "base64"));
    this.#parsed.set(secret, config);
    return config;
  }
}

/** Whether it is more than one Secret should hold. */
export async function isTooLarge(config: DataPlaneConfig): Promise<boolean> {
  return (await pack(config)).byteLength > CONFIG_BYTES_MAX;
}

function configName({ metadata: { namespace = "", name } }: EncryptedStore): ResourceName {
  return { namespace, name: storeConfigName(name) };
}

async function pack(config: DataPlaneConfig): Promise<Buffer> {
  return await promisify(gzip)(JSON.stringify(config));
}

async function unpack(bytes: Buffer): Promise<DataPlaneConfig | undefined> {
  try {
    return parseConfig(JSON.parse((await promisify(gunzip)(bytes)).toString("utf8")));
  } catch {
    // Neither gzip, nor JSON, nor a configuration: there is none.
    return undefined;
  }
}
