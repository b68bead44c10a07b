// The verbs of the Kubernetes API, as the operator needs them: every one takes a signal, has a deadline, and fails with
// KubeError alone (or the signal's reason). Nothing is repeated here: whoever asks knows what a second try may do.

import { FIELD_MANAGER } from "../../crds/names.ts";
import { type Clock, createDeadline } from "../clock.ts";
import { type Asker, brokenOff, createAsker, JSON_TYPE, type Question } from "./asking.ts";
import type { Connection } from "./connection.ts";
import { isKubeError, KubeError } from "./failure.ts";
import {
  collectionPath,
  type KubeObject,
  type ObjectName,
  objectPath,
  RESOURCES,
  type ResourceType,
} from "./resources.ts";
import { eventsOf, type WatchEvent } from "./watching.ts";

/** Which objects of a type. */
export interface Scope {
  /** undefined: of all namespaces. */
  readonly namespace: string | undefined;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Page<Shape> {
  readonly items: readonly Shape[];
  readonly resourceVersion: string;
  /** undefined: this was the last. */
  readonly next: string | undefined;
}

export interface RemoveOptions {
  /** Only the object that has this uid: another of its name stays. */
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface WatchFrom {
  readonly resourceVersion: string;
  /** After which the API server ends it. */
  readonly timeoutSeconds: number;
  readonly silenceMs: number;
}

export interface TokenWish {
  readonly audience: string;
  readonly seconds: number;
}

/** A token that a ServiceAccount was given. */
export interface IssuedToken {
  readonly token: string;
  readonly expires: Date;
}

export interface Kube {
  /** undefined: there is none. */
  read<Shape extends KubeObject>(
    type: ResourceType<Shape>,
    name: ObjectName,
    signal: AbortSignal,
  ): Promise<Shape | undefined>;
  page<Shape extends KubeObject>(
    type: ResourceType<Shape>,
    scope: Scope,
    page: { readonly limit: number; readonly after: string | undefined },
    signal: AbortSignal,
  ): Promise<Page<Shape>>;
  /** Ends when the server ends it; rejects when it breaks, or has been silent for `silenceMs`. */
  watch<Shape extends KubeObject>(
    type: ResourceType<Shape>,
    scope: Scope,
    from: WatchFrom,
    signal: AbortSignal,
  ): AsyncIterable<WatchEvent<Shape>>;
  /** Never over what is there: `exists`. */
  create<Shape extends KubeObject>(type: ResourceType<Shape>, object: Shape, signal: AbortSignal): Promise<Shape>;
  /** Server-side apply. `force`: what others have set of these fields becomes ours. */
  apply(
    type: ResourceType<KubeObject>,
    object: KubeObject,
    options: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<KubeObject>;
  /** The whole object, if it still has the resourceVersion that it carries. */
  replace<Shape extends KubeObject>(type: ResourceType<Shape>, object: Shape, signal: AbortSignal): Promise<Shape>;
  /** A JSON merge patch: null removes. With metadata.resourceVersion in it, of exactly that state. */
  patch<Shape extends KubeObject>(
    type: ResourceType<Shape>,
    name: ObjectName,
    patch: object,
    signal: AbortSignal,
    subresource?: "status",
  ): Promise<Shape>;
  /** What is not there counts as removed; false: another stands there, which `options` does not mean. */
  remove(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    options: RemoveOptions,
    signal: AbortSignal,
  ): Promise<boolean>;
  requestToken(serviceAccount: ObjectName, wanted: TokenWish, signal: AbortSignal): Promise<IssuedToken>;
  /** Whether a namespace is being deleted. Writes nothing. */
  isEnding(namespace: string, signal: AbortSignal): Promise<boolean>;
}

/** How long a watch may take to begin. */
const BEGIN_MS = 30_000;
const METADATA_ALONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

export function createKube(connection: Connection, clock: Clock): Kube {
  const asker = createAsker(connection, clock);
  // What the API server answers has the shape of what was asked for: it validates, we believe.
  const ask = async (question: Question, signal: AbortSignal) => (await asker.ask(question, signal)) as never;
  return {
    async read(type, name, signal) {
      const question = {
        what: `Cannot read ${words(type, name)}`,
        method: "GET",
        path: objectPath(type, name),
      } as const;
      return await ask(question, signal).catch((error: unknown) => {
        if (isKubeError(error, "not-found")) return undefined;
        throw error;
      });
    },
    page: async (type, scope, page, signal) => await readPage(asker, type, scope, page, signal),
    watch: (type, scope, from, signal) => readWatch(asker, type, scope, from, signal),
    create: async (type, object, signal) => await ask(creation(type, object), signal),
    apply: async (type, object, options, signal) => await ask(application(type, object, options.force), signal),
    replace: async (type, object, signal) => await ask(replacement(type, object), signal),
    patch: async (type, name, patch, signal, subresource) => {
      return await ask(merging(type, name, patch, subresource), signal);
    },
    async remove(type, name, options, signal) {
      try {
        await ask(removal(type, name, options), signal);
        return true;
      } catch (error) {
        if (isKubeError(error, "not-found")) return true;
        if (isKubeError(error, "conflict")) return false;
        throw error;
      }
    },
    async requestToken(serviceAccount, wanted, signal) {
      const { status }: TokenAnswer = await ask(tokenRequest(serviceAccount, wanted), signal);
      return { token: status.token, expires: new Date(status.expirationTimestamp) };
    },
    async isEnding(namespace, signal) {
      try {
        await ask(rehearsal(namespace), signal);
        return false;
      } catch (error) {
        if (!isKubeError(error, "denied", "exists", "invalid")) throw error;
        return error.causes.includes("NamespaceTerminating");
      }
    },
  };
}

interface ListAnswer {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly object[] | null;
}

interface TokenAnswer {
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

async function readPage<Shape extends KubeObject>(
  { ask }: Asker,
  type: ResourceType<Shape>,
  scope: Scope,
  { limit, after }: { readonly limit: number; readonly after: string | undefined },
  signal: AbortSignal,
): Promise<Page<Shape>> {
  const question: Question = {
    what: `Cannot list ${type.plural}`,
    method: "GET",
    path: collectionPath(type, scope.namespace),
    query: { limit: String(limit), continue: after, ...selectors(scope) },
    accept: type.listed === "metadata" ? METADATA_LIST : JSON_TYPE,
  };
  const { metadata, items } = (await ask(question, signal)) as ListAnswer;
  const next = metadata?.continue;
  return {
    // A list does not say of each item what it is.
    items: (items ?? []).map((item) => ({ ...item, apiVersion: type.apiVersion, kind: type.kind }) as unknown as Shape),
    resourceVersion: metadata?.resourceVersion ?? "",
    next: next === undefined || next === "" ? undefined : next,
  };
}

async function* readWatch<Shape extends KubeObject>(
  { open, clock }: Asker,
  type: ResourceType<Shape>,
  scope: Scope,
  from: WatchFrom,
  signal: AbortSignal,
): AsyncIterable<WatchEvent<Shape>> {
  const what = `Cannot watch ${type.plural}`;
  const question: Question = {
    what,
    method: "GET",
    path: collectionPath(type, scope.namespace),
    query: {
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: from.resourceVersion,
      timeoutSeconds: String(from.timeoutSeconds),
      ...selectors(scope),
    },
    accept: type.listed === "metadata" ? METADATA_ALONE : JSON_TYPE,
  };
  const silence = createDeadline(from.silenceMs, clock, signal);
  // The API server answers at once, though nothing happens: an answer that does not begin has been lost on the way.
  silence.extend(BEGIN_MS);
  try {
    const answer = await open(question, silence.signal);
    silence.extend();
    yield* eventsOf(what, answer, type, silence.extend);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (silence.isOver()) throw new KubeError("unreachable", `${what}: nothing was heard for too long`);
    throw error instanceof KubeError ? error : brokenOff(what, error, signal);
  } finally {
    silence.clear();
  }
}

function creation(type: ResourceType<KubeObject>, object: KubeObject): Question {
  const { namespace = "", name } = object.metadata;
  return {
    what: `Cannot create ${words(type, { namespace, name })}`,
    method: "POST",
    path: collectionPath(type, namespace),
    query: { fieldManager: FIELD_MANAGER },
    body: object,
  };
}

/** The making of a Secret, without making it. Nothing can be made in a namespace that ends, and the API server says so;
 *  to read the namespace itself would need one more right. */
function rehearsal(namespace: string): Question {
  const object = { apiVersion: "v1", kind: "Secret", metadata: { namespace, name: "coffer-rehearsal" } };
  return {
    what: `Cannot see whether the namespace ${namespace} ends`,
    method: "POST",
    path: collectionPath(RESOURCES.secrets, namespace),
    query: { fieldManager: FIELD_MANAGER, dryRun: "All" },
    body: object,
  };
}

function application(type: ResourceType<KubeObject>, object: KubeObject, force: boolean): Question {
  const { namespace = "", name } = object.metadata;
  return {
    what: `Cannot apply ${words(type, { namespace, name })}`,
    method: "PATCH",
    path: objectPath(type, { namespace, name }),
    query: { fieldManager: FIELD_MANAGER, force: force ? "true" : undefined },
    // JSON is YAML.
    contentType: "application/apply-patch+yaml",
    body: object,
  };
}

function replacement(type: ResourceType<KubeObject>, object: KubeObject): Question {
  const { namespace = "", name } = object.metadata;
  return {
    what: `Cannot replace ${words(type, { namespace, name })}`,
    method: "PUT",
    path: objectPath(type, { namespace, name }),
    query: { fieldManager: FIELD_MANAGER },
    body: object,
  };
}

function merging(
  type: ResourceType<KubeObject>,
  name: ObjectName,
  patch: object,
  subresource: "status" | undefined,
): Question {
  return {
    what: `Cannot change ${subresource === undefined ? "" : "the status of "}${words(type, name)}`,
    method: "PATCH",
    path: `${objectPath(type, name)}${subresource === undefined ? "" : `/${subresource}`}`,
    query: { fieldManager: FIELD_MANAGER },
    contentType: "application/merge-patch+json",
    body: patch,
  };
}

function removal(type: ResourceType<KubeObject>, name: ObjectName, { uid, resourceVersion }: RemoveOptions): Question {
  const preconditions = {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return {
    what: `Cannot remove ${words(type, name)}`,
    method: "DELETE",
    path: objectPath(type, name),
    body: { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: "Background", preconditions },
  };
}

function tokenRequest(serviceAccount: ObjectName, { audience, seconds }: TokenWish): Question {
  return {
    what: `Cannot request a token of ServiceAccount ${serviceAccount.namespace}/${serviceAccount.name}`,
    method: "POST",
    path: `${objectPath(RESOURCES.serviceAccounts, serviceAccount)}/token`,
    body: {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { audiences: [audience], expirationSeconds: seconds },
    },
  };
}

function selectors({ labelSelector, fieldSelector }: Scope) {
  return { labelSelector, fieldSelector };
}

function words({ kind }: ResourceType<KubeObject>, { namespace, name }: ObjectName): string {
  return `${kind} ${namespace}/${name}`;
}
