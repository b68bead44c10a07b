/** The buckets that stand in a file, each with rules of its own where it has some, and with who may use it. */
import { type Gathered, isObject } from "./gather.ts";
import { ACCESS, BUCKET } from "./names.ts";
import type { Reader, ValueOf } from "./readers.ts";
import type { Path } from "./syntax.ts";
import type { WishedBucket, WishedCredential, WishedRules } from "./wish.ts";

type Members = Readonly<Record<string, Reader<unknown>>>;
type Read<M extends Members> = { [K in keyof M]?: ValueOf<M[K]> };
type Place = (path: Path) => string;

const ALL_PERMISSIONS = ["Read", "Write", "List", "Delete"] as const;
const CONTEXT_KEY_MAX = 128;
const CONTEXT_VALUE_MAX = 256;

/** Problems go to `problems`; what is returned is whole only if there are none. */
export function readBuckets(
  given: Gathered["buckets"],
  defaults: WishedRules,
  admin: WishedCredential,
  problems: string[],
): readonly WishedBucket[] {
  const names = new Set<string>();
  const taken = {
    accessKeys: new Set(admin.pair === undefined ? [] : [admin.pair.accessKeyId]),
    tokens: new Set(admin.token === undefined ? [] : [admin.token]),
  };
  return given.flatMap(({ value, place }) => {
    if (!isObject(value)) {
      problems.push(`${place([])}: must hold the settings of a bucket`);
      return [];
    }
    const { access, ...members } = value;
    const read = readMembers(BUCKET, members, place, [], problems);
    const { name, context = {}, algorithm, key_mode: keyMode, chunk_size: chunkBytes } = read;
    checkContext(context, place, problems);
    const isNamed = isFree(name, members["name"], names, place(["name"]), problems);
    const credentials = readAccess(access, place, taken, problems);
    if (!isNamed || name === undefined) return [];
    const own = {
      ...(algorithm === undefined ? {} : { algorithm }),
      ...(keyMode === undefined ? {} : { keyMode }),
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
    };
    const contextPlace = members["context"] === undefined ? `${place([])}.context` : place(["context"]);
    return [{ name, rules: { ...defaults, ...own }, context, contextPlace, access: credentials }];
  });
}

/** Of all credentials: what one has, no other may have. */
interface Taken {
  readonly accessKeys: Set<string>;
  readonly tokens: Set<string>;
}

function readAccess(given: unknown, place: Place, taken: Taken, problems: string[]): WishedCredential[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) {
    problems.push(`${place(["access"])}: must be a list`);
    return [];
  }
  const names = new Set<string>();
  return given.flatMap((value: unknown, index) => {
    const at: Path = ["access", index];
    if (!isObject(value)) {
      problems.push(`${place(at)}: must hold the settings of a credential`);
      return [];
    }
    const read = readMembers(ACCESS, value, place, at, problems);
    const { name, access_key: accessKeyId, secret_key: secret, token, permissions = ALL_PERMISSIONS } = read;
    const isNamed = isFree(name, value["name"], names, place([...at, "name"]), problems);
    const placeOf = (member: string) =>
      value[member] === undefined ? `${place(at)}.${member}` : place([...at, member]);
    const places = { accessKey: placeOf("access_key"), token: placeOf("token") };
    if (accessKeyId !== undefined) isFree(accessKeyId, accessKeyId, taken.accessKeys, places.accessKey, problems);
    if (token !== undefined) isFree(token, token, taken.tokens, places.token, problems);
    if ((value["access_key"] === undefined) !== (value["secret_key"] === undefined)) {
      problems.push(`${place(at)}: needs access_key and secret_key, or neither of them`);
    }
    if (!isNamed || name === undefined) return [];
    const pair = accessKeyId === undefined || secret === undefined ? undefined : { accessKeyId, secret };
    return [{ entry: name, pair, token, places, permissions: [...new Set(permissions)], keys: false }];
  });
}

/** Whether the name is there and nobody else's yet. A bad one has its problem already. */
function isFree(
  name: string | undefined,
  given: unknown,
  taken: Set<string>,
  place: string,
  problems: string[],
): boolean {
  if (name === undefined) {
    if (given === undefined) problems.push(`${place}: is missing`);
    return false;
  }
  if (taken.has(name)) problems.push(`${place}: appears twice`);
  taken.add(name);
  return true;
}

function readMembers<M extends Members>(
  members: M,
  given: Readonly<Record<string, unknown>>,
  place: Place,
  at: Path,
  problems: string[],
): Read<M> {
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const reader = Object.hasOwn(members, name) ? members[name] : undefined;
    const reading = reader?.read(value, false) ?? { problem: "is not known" };
    if ("problem" in reading) problems.push(`${place([...at, name])}: ${reading.problem}`);
    else read[name] = reading.value;
  }
  return read as Read<M>;
}

function checkContext(context: Readonly<Record<string, string>>, place: Place, problems: string[]): void {
  for (const [name, value] of Object.entries(context)) {
    if (name === "" || name.length > CONTEXT_KEY_MAX || name.startsWith("coffer:")) {
      problems.push(
        `${place(["context"])}: a name has 1 to ${CONTEXT_KEY_MAX} characters and does not begin with coffer:`,
      );
    }
    if (value.length > CONTEXT_VALUE_MAX) {
      problems.push(`${place(["context"])}: a value has at most ${CONTEXT_VALUE_MAX} characters`);
    }
  }
}
