// The operator's part of the table: what decides, what looks and acts in a cluster, and `npm start`.

import type { Room } from "./room.ts";

const PLAIN_BUILTINS = ["node:crypto"];
const KINDS = ["kmsprovider", "encryptedbucket", "encryptedstore"];

export const OPERATOR_ROOMS: readonly Room[] = [
  {
    // The operator as a whole against a real API server, and the world that these tests share.
    name: "operator, integration tests",
    files: /^operator\/(world\.ts|\w+\.integration\.test\.ts)$/,
    imports: [
      "crds/",
      "kms/ring.ts",
      "operator, pure",
      "operator, time",
      "operator/kube/",
      "operator/",
      "operator/main.ts",
      "e2e/",
    ],
    doors: {},
    packages: [],
  },
  {
    // What decides in the operator. Pure: no client, file system, clock or randomness of its own.
    name: "operator, pure",
    files:
      /^operator\/(compile\/|(accesssecret|conditions|inuse|kind|manifest|rollout)\.|\w+\/(deletion|plan|notices|manifests|rotation|schedule|seen)\.)/,
    imports: [
      "crds/",
      "kms/options.ts",
      "kms/kms.ts",
      "kms/ring.ts",
      "dataplane/config/config.ts",
      "dataplane/admin/api.ts",
    ],
    doors: {
      "operator/compile/compile.ts": "the door",
      "operator/conditions.ts": "conditions are the language of every status",
      "operator/kind.ts": "what a kind is: observe, plan, act",
      "operator/manifest.ts": "what every object that is made has",
      "operator/accesssecret.ts": "the Secret of credentials, of buckets and stores alike",
      "operator/inuse.ts": "what holds a resource while others name it",
      "operator/encryptedstore/manifests.ts": "where a store is reached, and where its pods find things",
      "operator/rollout.ts": "what pods have loaded, as plans see it",
      "operator/kmsprovider/plan.ts": "a kind's plan is its door",
      "operator/kmsprovider/seen.ts": "what looks at keys have shown, whoever looks",
      "operator/encryptedbucket/plan.ts": "a kind's plan is its door",
      "operator/encryptedstore/plan.ts": "a kind's plan is its door",
      "operator/encryptedbucket/deletion.ts": "a second plan of its kind: what becomes of the objects",
      "operator/kmsprovider/manifests.ts": "a kind's manifests are for its controller",
    },
    packages: ["croner"],
    builtins: PLAIN_BUILTINS,
  },
  {
    name: "operator/local/",
    files: /^operator\/local\//,
    imports: ["crds/", "kms/", "operator, pure", "operator/pods.ts", "dataplane/config/config.ts"],
    doors: {},
    packages: ["yaml"],
  },
  {
    name: "operator/pods.ts",
    files: /^operator\/pods\./,
    imports: ["crds/", "operator, pure", "dataplane/config/config.ts", "dataplane/admin/api.ts"],
    doors: { "operator/pods.ts": "one question a pod, whoever wants to know" },
    packages: [],
  },
  {
    // Time, and what waits: knows neither kinds nor the API server.
    name: "operator, time",
    files: /^operator\/(clock|manualclock|backoff|queue)\./,
    imports: [],
    doors: "all",
    packages: [],
  },
  {
    // The one room that talks to the API server, so that what it is asked can be read in one place.
    name: "operator/kube/",
    files: /^operator\/kube\//,
    imports: ["crds/", "operator, time"],
    doors: "all",
    packages: ["@kubernetes/client-node"],
  },
  {
    // What is counted, as Prometheus reads it: knows no kind, so that whoever counts may import it.
    name: "operator/metrics.ts",
    files: /^operator\/metrics\./,
    imports: ["operator, time"],
    doors: { "operator/metrics.ts": "all that the operator counts" },
    packages: ["prom-client"],
  },
  ...KINDS.map((kind) => ({
    // Observes and acts for one kind; what it decides is pure, and no kind knows another.
    name: `operator/${kind}/`,
    files: new RegExp(`^operator/${kind}/`),
    imports: [
      "crds/",
      "kms/",
      "operator, pure",
      "operator, time",
      "operator/pods.ts",
      "operator/metrics.ts",
      "operator/kube/",
      "operator/",
      "dataplane/config/config.ts",
    ],
    doors: { [`operator/${kind}/reconcile.ts`]: "a kind's controller is its door" },
    packages: [],
  })),
  {
    // What the kinds of a cluster have in common, and who looks again when something has changed.
    name: "operator/",
    files:
      /^operator\/(access|config|controller|counting|entries|health|holders|log|materials|pendings|replacing|storeconfigs|storefacts|storepods|tokens|watches)\./,
    imports: [
      "crds/",
      "kms/options.ts",
      "operator, pure",
      "operator, time",
      "operator/pods.ts",
      "operator/metrics.ts",
      "operator/kube/",
      "dataplane/config/config.ts",
    ],
    doors: "all",
    packages: [],
  },
  {
    name: "operator/main.ts",
    files: /^operator\/(main|term|routing|uninstall)\./,
    imports: [
      "crds/",
      "operator, pure",
      "operator, time",
      "operator/pods.ts",
      "operator/metrics.ts",
      "operator/kube/",
      "operator/",
      "operator/kmsprovider/",
      "operator/encryptedbucket/",
      "operator/encryptedstore/",
      "dataplane/config/config.ts",
    ],
    doors: { "operator/uninstall.ts": "what the chart's pre-delete hook runs" },
    packages: [],
  },
];
