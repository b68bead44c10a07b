// Signals to the processes of pods, as only their node can send them: from inside, the first process of a container is
// proof against kill -9, and `kubectl delete --force` gives it time to say goodbye. A pod that sees all processes of the
// node sends them.

import { mustAsk } from "../cluster/apiserver.ts";
import { getObject, sharedCluster } from "./cluster.ts";
import { isReady } from "./operatorpods.ts";
import type { Team } from "./team.ts";

export type Signal = "KILL" | "STOP" | "CONT" | "TERM";

const NAME = "signals";
const READY_MS = 120_000;

/** Sends $2 to every process of the container $1. With the first of them the others go by themselves. */
const SEND = `
  found=$(grep -ls "$1" /proc/[0-9]*/cgroup | cut -d/ -f3)
  [ -n "$found" ] || { echo "no process of the container $1 runs" >&2; exit 1; }
  for process in $found; do
    kill -s "$2" "$process" || [ ! -e "/proc/$process" ] || exit 1
  done
`;

export class Signals {
  readonly #team: Team;

  private constructor(team: Team) {
    this.#team = team;
  }

  /** Its pod goes with the team's namespace. */
  static async create(team: Team): Promise<Signals> {
    const container = {
      name: NAME,
      image: sharedCluster().image,
      command: ["node", "--eval", "process.once('SIGTERM', () => process.exit()); setInterval(() => {}, 60_000)"],
      securityContext: { runAsUser: 0, runAsGroup: 0 },
    };
    await mustAsk(sharedCluster(), "POST", `/api/v1/namespaces/${team.name}/pods`, {
      metadata: { name: NAME },
      spec: { hostPID: true, enableServiceLinks: false, restartPolicy: "Never", containers: [container] },
    });
    await team.until("pods", NAME, "to be ready", (pod) => pod !== undefined && isReady(pod), READY_MS);
    return new Signals(team);
  }

  /** To all processes of a pod's one container, and not to what holds its namespaces. */
  async send(signal: Signal, namespace: string, pod: string): Promise<void> {
    const id = (await getObject("pods", namespace, pod))?.status?.containerStatuses?.[0]?.containerID as unknown;
    if (typeof id !== "string") throw new Error(`The pod ${namespace}/${pod} has no container that runs`);
    await this.#team.exec(NAME, ["sh", "-c", SEND, "sh", id.replace(/^.*:\/\//, ""), signal]);
  }
}
