// Brings the cluster of a test run, and says which one it is:
//   COFFER_E2E_KEEP=NAME    a cluster of one node that stays, and is found again by the next run with this name; with
//                           COFFER_E2E_IMAGE=localhost/coffer:TAG as well that image of it runs, and none is built
//   KUBECONFIG=FILE         the cluster that this file leads to, if COFFER_E2E_IMAGE=REPOSITORY:TAG says which image its
//                           nodes have or can pull: KUBECONFIG alone may lead to where people work, and is not used
//   neither                 a new one: by kind where Docker has its node image or can pull it, else one of one node

import { prepareKubernetes } from "../cluster/binaries.ts";
import type { Brought, Cluster } from "./brought.ts";
import { bringGiven, givenCluster, givenImage } from "./given.ts";
import { type Image, prepareImage } from "./image.ts";
import { createKind, prepareKind, whyNoKind } from "./kind.ts";
import { HOST_NAME } from "./nodeprograms.ts";
import { findOneNode, loadImage, type OneNode, startOneNode, stopOneNode, whyNoOneNode } from "./onenode.ts";
import { prepareNodePackages } from "./packages.ts";

export async function bringCluster(say: (line: string) => void): Promise<Brought> {
  const kept = process.env["COFFER_E2E_KEEP"] ?? "";
  if (kept !== "") return await bringOneNode(kept, say);
  const given = givenCluster();
  if (given !== undefined) return await bringGiven(given, say);
  const why = await whyNoKind();
  if (why === undefined) return await createKind(say);
  say(`No cluster by kind: ${why}.`);
  return await bringOneNode(undefined, say);
}

/** Before any test: what it takes long to install or to build. What the cluster is made of, for people. */
export async function prepareCluster(say: (line: string) => void): Promise<string> {
  if (givenCluster() !== undefined) return "somebody else's, by KUBECONFIG and COFFER_E2E_IMAGE";
  const whyNoDocker = await whyNoKind();
  const whyNot = whyNoOneNode();
  if (whyNoDocker !== undefined && whyNot !== undefined) throw new Error(`${whyNot} For one by kind: ${whyNoDocker}.`);
  const image = await prepareImage(say);
  if (whyNoDocker === undefined) return `${await prepareKind(say)}, ${image.archive}`;
  await prepareNodePackages(say);
  const { kubernetes } = await prepareKubernetes(say);
  return `${kubernetes}, ${image.archive}`;
}

const KEPT_NAME = /^[a-z0-9-]{1,30}$/;

async function bringOneNode(name: string | undefined, say: (line: string) => void): Promise<Brought> {
  if (name !== undefined && !KEPT_NAME.test(name)) throw new Error("COFFER_E2E_KEEP: 1 to 30 of a-z, 0-9 and -");
  const found = name === undefined ? undefined : await findOneNode(name);
  const loaded = found === undefined ? undefined : givenImage();
  // Both take their time, and neither needs the other.
  const [starting, making] = await Promise.allSettled([
    found ?? startOneNode(name, say).catch(sayAtOnce(say)),
    loaded === undefined ? prepareImage(say) : undefined,
  ]);
  if (starting.status === "rejected") throw starting.reason;
  const node = starting.value;
  const stop = async () => {
    if (name === undefined) await stopOneNode(node);
  };
  const seconds = (node.readyMs / 1000).toFixed(1);
  const how = found === undefined ? `made in ${seconds} s` : "found";
  const stays = name === undefined ? "" : ` and stays: npx node e2e/kubernetes/end.ts ${name} ends it`;
  const cluster = clusterOf(node, `A cluster of one node in namespaces of its own, ${how}${stays}`);
  if (loaded !== undefined) return { cluster, image: loaded, stop };
  try {
    if (making.status === "rejected") throw making.reason;
    const image = making.value as Image;
    await loadImage(node, image.archive);
    const { repository, defaultTag, tag } = image;
    // In one that stays a pod would not notice that the same name is another image.
    const named = name === undefined ? { tag: defaultTag, isDefault: true } : { tag, isDefault: false };
    return { cluster, image: { repository, ...named }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The other work may still take long. */
function sayAtOnce(say: (line: string) => void): (error: unknown) => never {
  return (error) => {
    say(`No cluster of one node: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  };
}

function clusterOf(node: OneNode, what: string): Cluster {
  const { url, token, caPem, kubeconfig, kubectl, addresses, auditLog, volumes } = node;
  return {
    kind: "one node",
    what,
    url,
    token,
    caPem,
    kubeconfig,
    kubectl,
    hostName: HOST_NAME,
    hostAddress: addresses.host,
    isRouted: true,
    auditLog,
    volumes,
  };
}
