// Compiles the folder's resources one by one: gathers what each needs, among it the credentials that its files hold.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { BucketEntry, DataPlaneConfig, SelfServiceEntry } from "../../dataplane/config/config.ts";
import {
  bucketNameOf,
  bucketResource,
  type CredentialsPlan,
  compileBucket,
  compileSelfService,
  type Finding,
  isFinding,
  NO_CREDENTIALS,
  overlapMsOf,
  selfServiceWish,
  storeResource,
} from "../compile/compile.ts";
import { isApplied, type PodFacts, sweptWishOf } from "../rollout.ts";
import { type AccessSurroundings, surroundingsOf } from "./accessfiles.ts";
import { credentialsOf } from "./credentials.ts";
import type { Urls } from "./hints.ts";
import type { SeenProvider } from "./providers.ts";
import type { Records, Resources, SecretDocument } from "./records.ts";

/** What a pass starts from. */
export interface PassState {
  readonly records: Records;
  readonly secrets: readonly SecretDocument[];
  readonly config: DataPlaneConfig | undefined;
  readonly pods: readonly PodFacts[];
  /** The data plane was started a moment ago, and has not been ready yet. */
  readonly isStarting: boolean;
  readonly withoutReadyPodMs: number;
}

/** What one round of compiling goes by. */
export interface Round {
  readonly state: PassState;
  readonly seen: ReadonlyMap<string, SeenProvider>;
  readonly resources: Resources;
  /** Providers that have an entry, now or in the configuration before. */
  readonly providersWithEntry: ReadonlySet<string>;
  readonly revision: number;
  readonly accessDir: string;
  readonly urls: Urls;
  readonly now: Date;
}

export interface CompiledBucket {
  readonly bucket: EncryptedBucket;
  /** Why its store is not the one that runs. */
  readonly missing: string | undefined;
  /** Who has its name. */
  readonly holder: string | undefined;
  readonly compiled: BucketEntry | Finding;
  readonly credentials: CredentialsPlan;
  readonly around: AccessSurroundings;
}

export interface CompiledSelfService {
  readonly compiled: SelfServiceEntry | Finding | undefined;
  readonly credentials: CredentialsPlan;
}

export async function compileFolderBucket(
  round: Round,
  bucket: EncryptedBucket,
  { missing, holder }: Pick<CompiledBucket, "missing" | "holder">,
): Promise<CompiledBucket> {
  const around = surroundingsOf(round.urls, bucketNameOf(bucket));
  if (holder !== undefined || missing !== undefined) {
    const message = missing ?? `The name is that of EncryptedBucket "${holder}"`;
    const compiled: Finding = { finding: "StoreNotFound", message };
    return { bucket, missing, holder, around, compiled, credentials: NO_CREDENTIALS };
  }
  const { name, generation } = bucket.metadata;
  const previous = round.state.config?.buckets.find(({ resource }) => resource === bucketResource(name));
  const credentials = await bucketCredentials(round, bucket, previous, around);
  const compiled = compileBucket({
    bucket,
    provider: providerOf(round, bucket.spec.encryption.kmsProviderRef.name),
    providersWithEntry: round.providersWithEntry,
    sweptWish: sweptWishOf(round.state.pods, bucketNameOf(bucket)),
    credentials: credentials.configured,
    madeFrom: [`${bucketResource(name)}@${generation}`],
    previous,
    revision: round.revision,
  });
  return { bucket, missing, holder, around, compiled, credentials };
}

export async function compileFolderSelfService(
  round: Round,
  store: EncryptedStore | undefined,
): Promise<CompiledSelfService> {
  const wanted = store?.spec.selfService;
  if (store === undefined || wanted === undefined) return { compiled: undefined, credentials: NO_CREDENTIALS };
  const { name, generation } = store.metadata;
  const previous = round.state.config?.selfService;
  const holder = {
    resource: name,
    wishes: wanted.access.map(({ name: entry }) => selfServiceWish(entry)),
    published: new Map<string, number>(),
    before: previous?.credentials ?? [],
    isApplied: previous !== undefined && isApplied(round.state.pods, previous.revision),
    overlapMs: 0,
    around: surroundingsOf(round.urls, undefined),
  };
  const credentials = await credentialsOf(holder, round.accessDir, round.now.getTime());
  const compiled = compileSelfService({
    store,
    provider: providerOf(round, wanted.kmsProviderRef.name),
    providersWithEntry: round.providersWithEntry,
    credentials: credentials.configured,
    madeFrom: [`${storeResource(name)}@${generation}`],
    previous,
    revision: round.revision,
  });
  return { compiled, credentials };
}

async function bucketCredentials(
  { state, accessDir, now }: Round,
  bucket: EncryptedBucket,
  previous: BucketEntry | undefined,
  around: AccessSurroundings,
): Promise<CredentialsPlan> {
  const wishes = (bucket.spec.access ?? []).map((entry) => ({
    name: entry.name,
    permissions: entry.permissions,
    generation: entry.credentialsGeneration ?? 0,
  }));
  const holder = {
    resource: bucket.metadata.name,
    wishes,
    published: new Map(bucket.status.access?.map((one) => [one.name, one.credentialsGeneration])),
    before: previous?.credentials ?? [],
    isApplied: previous !== undefined && isApplied(state.pods, previous.revision),
    overlapMs: overlapMsOf(bucket),
    around,
  };
  return await credentialsOf(holder, accessDir, now.getTime());
}

/** A key that cannot be used now has no version that could be wished for. */
function providerOf({ resources, seen }: Round, name: string) {
  const provider = resources.providers.find(({ metadata }) => metadata.name === name);
  if (provider === undefined) return undefined;
  const material = seen.get(name)?.material;
  const isUsable = material !== undefined && !isFinding(material);
  return { name, keyVersion: isUsable ? provider.status.key?.version : undefined };
}
