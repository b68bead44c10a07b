// The house as a table: which files make a room, which rooms it may import, by which doors others enter it, which
// packages it may load. A new arrow is a new line here, with its reason in the commit and in the README's map.

import { OPERATOR_ROOMS } from "./operatorrooms.ts";
import type { Room } from "./room.ts";

const FREE = ["dataplane/log.ts", "dataplane/metrics.ts", "dataplane/memory.ts", "dataplane/openfiles.ts"];
const CALL = [
  "dataplane/failure.ts",
  "dataplane/snapshot.ts",
  "dataplane/call.ts",
  "dataplane/access/",
  "dataplane/config/",
];
const PROTOCOL = [...FREE, ...CALL, "dataplane/http/", "dataplane/buckets/", "dataplane/objects/", "dataplane/jobs/"];
const PLAIN_BUILTINS = ["node:crypto"];

export const ROOMS: readonly Room[] = [
  {
    name: "crds/",
    files: /^crds\//,
    imports: [],
    doors: "all",
    packages: ["typebox", "@marcbachmann/cel-js", "yaml"],
    builtins: ["node:fs"],
  },
  { name: "envelope/", files: /^envelope\//, imports: [], doors: "all", packages: [], builtins: PLAIN_BUILTINS },
  {
    name: "kms/local.ts",
    files: /^kms\/local(\.test)?\.ts$/,
    imports: ["kms/", "envelope/"],
    doors: {},
    packages: [],
    builtins: PLAIN_BUILTINS,
    opener: "kms/open.ts",
  },
  {
    // node-vault writes the requests; node:http and node:https carry them, since its own way bounds and verifies less.
    name: "kms/vault/",
    files: /^kms\/vault\//,
    imports: ["kms/", "envelope/"],
    doors: {},
    packages: ["node-vault"],
    opener: "kms/open.ts",
  },
  {
    name: "kms/",
    files: /^kms\//,
    imports: ["envelope/"],
    doors: {
      "kms/kms.ts": "the ports",
      "kms/options.ts": "what each provider needs, parsed by the configuration",
      "kms/secret.ts": "holds what the configuration read",
      "kms/open.ts": "from options to a Kms",
      "kms/observe.ts": "what is counted of each call: the process brings the metrics",
      "kms/probe.ts": "both programs ask whether a key can be used",
      "kms/ring.ts": "the Local ring stands in the configuration, and whoever keeps it brings a RingHolder",
      "kms/ring-file.ts": "a RingHolder over a file, for `npm start` and for a data plane alone",
    },
    packages: ["typebox"],
  },
  ...OPERATOR_ROOMS,
  {
    name: "dataplane/config/",
    files: /^dataplane\/config\//,
    imports: ["kms/options.ts", "kms/secret.ts"],
    // TOML and YAML are for a data plane that runs alone, where a person writes its configuration.
    packages: ["typebox", "smol-toml", "yaml"],
    doors: {
      "dataplane/config/config.ts": "the contract with the operator",
      "dataplane/config/sources.ts": "where configuration and environment are read",
      "dataplane/config/standalone-config.ts": "what a person wrote, as the configuration that an operator would write",
    },
  },
  { name: "dataplane/log.ts", files: /^dataplane\/log\./, imports: [], doors: "all", packages: ["winston"] },
  {
    name: "dataplane/memory.ts",
    files: /^dataplane\/memory\./,
    imports: [],
    doors: "all",
    packages: [],
    builtins: [],
  },
  {
    name: "dataplane/openfiles.ts",
    files: /^dataplane\/openfiles\./,
    imports: [],
    doors: "all",
    packages: [],
    builtins: ["node:fs"],
  },
  {
    name: "dataplane/metrics.ts",
    files: /^dataplane\/metrics\./,
    imports: [],
    doors: "all",
    packages: ["prom-client"],
  },
  {
    name: "dataplane/access/",
    files: /^dataplane\/access\//,
    imports: ["dataplane/config/"],
    packages: [],
    builtins: [],
    doors: { "dataplane/access/access.ts": "the door" },
  },
  ...["filesystem"].map((adapter) => ({
    name: `dataplane/storage/${adapter}/`,
    files: new RegExp(`^dataplane/storage/${adapter}/`),
    imports: ["dataplane/storage/", "dataplane/config/", ...FREE],
    doors: {},
    packages: [],
    opener: "dataplane/storage/open.ts",
  })),
  {
    name: "dataplane/storage/",
    files: /^dataplane\/storage\//,
    imports: ["dataplane/config/", ...FREE],
    packages: [],
    doors: {
      "dataplane/storage/storage.ts": "the port",
      "dataplane/storage/open.ts": "from configuration to a Storage",
    },
  },
  {
    name: "dataplane/failure.ts",
    files: /^dataplane\/failure\./,
    imports: ["kms/", "dataplane/storage/", "envelope/"],
    doors: "all",
    packages: [],
  },
  {
    name: "dataplane/snapshot.ts",
    files: /^dataplane\/snapshot\./,
    imports: [...FREE, "dataplane/failure.ts", "dataplane/config/", "dataplane/access/", "kms/"],
    doors: "all",
    packages: [],
  },
  {
    name: "dataplane/call.ts",
    files: /^dataplane\/call\./,
    imports: [
      ...FREE,
      "dataplane/failure.ts",
      "dataplane/config/",
      "dataplane/access/",
      "kms/",
      "dataplane/snapshot.ts",
    ],
    doors: "all",
    packages: [],
  },
  {
    name: "dataplane/audit/",
    files: /^dataplane\/audit\//,
    imports: [...FREE, ...CALL, "kms/"],
    packages: [],
    doors: { "dataplane/audit/audit.ts": "the door" },
  },
  {
    name: "dataplane/buckets/",
    files: /^dataplane\/buckets\//,
    imports: [...FREE, ...CALL, "dataplane/audit/", "dataplane/storage/"],
    packages: [],
    doors: { "dataplane/buckets/buckets.ts": "the door" },
  },
  {
    name: "dataplane/keys/",
    files: /^dataplane\/keys\//,
    imports: [...FREE, ...CALL, "dataplane/audit/", "dataplane/storage/", "dataplane/buckets/", "envelope/", "kms/"],
    packages: [],
    doors: { "dataplane/keys/keys.ts": "the door" },
  },
  {
    name: "dataplane/objects/",
    files: /^dataplane\/objects\//,
    packages: ["hash-wasm"],
    imports: [
      ...FREE,
      ...CALL,
      "dataplane/audit/",
      "dataplane/storage/",
      "dataplane/buckets/",
      "dataplane/keys/",
      "envelope/",
    ],
    doors: { "dataplane/objects/objects.ts": "the door" },
  },
  {
    name: "dataplane/jobs/",
    files: /^dataplane\/jobs\//,
    packages: [],
    imports: [
      ...FREE,
      ...CALL,
      "dataplane/audit/",
      "dataplane/storage/",
      "dataplane/buckets/",
      "dataplane/keys/",
      "dataplane/objects/",
    ],
    doors: { "dataplane/jobs/jobs.ts": "the door" },
  },
  {
    name: "dataplane/http/",
    files: /^dataplane\/http\//,
    imports: [...FREE, ...CALL, "dataplane/audit/"],
    packages: ["express"],
    doors: {
      "dataplane/http/listener.ts": "runs a protocol's table",
      "dataplane/http/table.ts": "what a row of a protocol's table is",
      "dataplane/http/target.ts": "reads a request's target, raw",
      "dataplane/http/inflight.ts": "what /operations and the drain read",
      "dataplane/http/stream.ts": "writes a body, and waits for the client",
    },
  },
  {
    name: "dataplane/s3/",
    files: /^dataplane\/s3\//,
    imports: PROTOCOL,
    packages: ["fast-xml-parser"],
    doors: { "dataplane/s3/routes.ts": "the table" },
  },
  {
    name: "dataplane/rest/",
    files: /^dataplane\/rest\//,
    imports: PROTOCOL,
    packages: [],
    doors: { "dataplane/rest/routes.ts": "the table", "dataplane/rest/api.ts": "types of the JSON that it speaks" },
  },
  {
    name: "dataplane/admin/",
    files: /^dataplane\/admin\//,
    imports: PROTOCOL,
    packages: [],
    doors: { "dataplane/admin/routes.ts": "the table", "dataplane/admin/api.ts": "what the operator reads of a pod" },
  },
  {
    name: "dataplane/standalone/",
    files: /^dataplane\/standalone\//,
    imports: [...FREE, ...CALL, "dataplane/audit/", "dataplane/storage/", "dataplane/keys/", "kms/"],
    packages: [],
    doors: { "dataplane/standalone/standalone.ts": "the door" },
  },
  {
    name: "dataplane/main.ts",
    files: /^dataplane\/(main|loading|probes)\./,
    doors: {},
    packages: [],
    imports: [
      "kms/",
      "envelope/",
      ...PROTOCOL,
      "dataplane/audit/",
      "dataplane/storage/",
      "dataplane/keys/",
      "dataplane/standalone/",
      "dataplane/s3/",
      "dataplane/rest/",
      "dataplane/admin/",
    ],
  },
  {
    name: "e2e/",
    files: /^e2e\//,
    imports: ["crds/"],
    doors: {
      "e2e/cluster/apiserver.ts": "a real API server, for tests of whatever talks to one",
      "e2e/cluster/controlplane.ts": "an API server of one's own, for what cannot be shared",
      "e2e/cluster/crds.ts": "our three kinds, in an API server of one's own",
      "e2e/cluster/faults.ts": "a proxy before it, which breaks what a test wants broken",
      "e2e/cluster/operator.ts": "runs the operator itself, as its Deployment would",
      "e2e/cluster/node.ts": "runs the data planes of StatefulSets as processes, as a node would",
      "e2e/ports.ts": "ports for servers that have to be told theirs, which nothing else takes before they come",
      "e2e/processes.ts": "whether a process still runs, also where nobody asks how one ended",
    },
    packages: ["@aws-sdk/client-s3", "@aws-sdk/lib-storage", "@aws-sdk/s3-request-presigner", "vitest"],
  },
  {
    // Clients and the network: what it starts, it starts as a user would.
    name: "bench/",
    files: /^bench\//,
    imports: [],
    doors: {},
    packages: [],
  },
  { name: "tidy/", files: /^tidy(\/|\.)/, imports: [], doors: {}, packages: [] },
  { name: "settings", files: /^(vitest|e2e)\.config\.ts$/, imports: [], doors: {}, packages: ["vitest"] },
];

/** What tests may load beside what their room may. */
export const TEST_PACKAGES = [
  "vitest",
  "fast-check",
  "yaml",
  "@aws-sdk/client-s3",
  "@aws-sdk/lib-storage",
  "@aws-sdk/s3-request-presigner",
];

/** Written for tests, though no test themselves: a client that sends what no client would, a program that is
 *  killed, a room with all that it needs around it. */
const TEST_SUPPORT =
  /^(dataplane\/(http\/rawclient|\w+\/world|storage\/filesystem\/crash(-child)?)|operator\/(manualclock|world|\w+\/world))\.ts$/;

/** What tests of any room may import although it is nobody's door: stand-ins, and the suites that ports come with. */
export const TEST_DOORS =
  /^(kms\/local\.ts|dataplane\/storage\/(memory|faults)\.ts|dataplane\/http\/rawclient\.ts|.*\/contract\/[^/]+\.ts)$/;

/** Modules of Node that reach out of the process, start another one or keep data: who may. */
export const GUARDED_BUILTINS: Readonly<Record<string, RegExp>> = {
  "node:child_process": /^(operator\/local\/|e2e\/|bench\/)/,
  "node:cluster": /^$/,
  "node:dgram": /^$/,
  "node:http": /^(dataplane\/(http|s3|rest|admin)\/|kms\/vault\/|operator\/(kube\/|health\.)|e2e\/|bench\/)/,
  "node:https": /^(kms\/vault|operator\/kube)\//,
  "node:inspector": /^$/,
  "node:net": /^(dataplane\/(http|storage\/filesystem)\/|operator\/(local\/|health\.)|e2e\/|bench\/)/,
  "node:sqlite": /^(dataplane\/storage\/filesystem\/|operator\/local\/lock\.|e2e\/)/,
  "node:tls": /^kms\/vault\//,
  "node:vm": /^$/,
  "node:worker_threads": /^(dataplane\/(storage\/filesystem|objects)\/|bench\/)/,
};

/** Decides without a clock, a timer, randomness or a file of its own; whoever calls it brings them. */
export const PURE_FILES =
  /^(operator\/(compile\/|(accesssecret|conditions|inuse|kind|manifest|rollout)\.ts|\w+\/(deletion|plan|manifests|rotation|schedule)\.ts)|dataplane\/access\/|dataplane\/objects\/(conditions|ranges)\.ts|crds\/(?!print\.))/;

/** Ports with adapters: a test beside each adapter runs the contract. */
export const PORTS: readonly { readonly contract: string; readonly adapters: readonly string[] }[] = [
  { contract: "kms/contract/", adapters: ["kms/local.ts", "kms/vault/"] },
  {
    contract: "dataplane/storage/contract/",
    adapters: ["dataplane/storage/memory.ts", "dataplane/storage/filesystem/"],
  },
];

export function isTest(path: string): boolean {
  return /\.test\.ts$|\/contract\/|^e2e\//.test(path) || TEST_SUPPORT.test(path);
}

export function roomOf(path: string): Room | undefined {
  return ROOMS.find((room) => room.files.test(path));
}
