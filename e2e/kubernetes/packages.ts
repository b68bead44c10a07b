// The packages of Debian that a cluster of one node and its images are made with.

import { preparePackages } from "../debian.ts";

/** What runs containers, and what the node is prepared with. */
export async function prepareNodePackages(say: (line: string) => void): Promise<void> {
  const packages = {
    containerd: "containerd",
    runc: "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    nft: "nftables",
    ip: "iproute2",
    mount: "mount",
    unshare: "util-linux",
    hostname: "hostname",
  };
  await preparePackages(packages, "The tests on a cluster of one node", say);
}

/** What builds an image where no engine runs. The shell and its tools go into the image. */
export async function prepareImagePackages(say: (line: string) => void): Promise<void> {
  const neededFor = "The tests that build the image";
  await preparePackages({ dockerd: "docker.io", "/bin/busybox": "busybox-static" }, neededFor, say);
  // Older releases have it in the package of the engine.
  await preparePackages({ docker: "docker-cli" }, neededFor, say);
}
