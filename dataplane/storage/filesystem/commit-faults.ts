/* A seam for tests: what happens at the writer's next commits. Lives in shared memory, since the writer is a thread
 * of its own. Without one the writer only commits. */

const FAULTS = ["none", "failed", "failed but persisted", "slow", "killed before", "killed after", "full"] as const;

export type CommitFault = (typeof FAULTS)[number];

export class CommitFaults {
  readonly shared: SharedArrayBuffer;
  readonly #cells: Int32Array;

  /** The same seam seen from another thread, if given its memory. */
  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(12)) {
    this.shared = shared;
    this.#cells = new Int32Array(shared);
  }

  /** The fault meets the commit after `skip` more, and from then on every one until it is set to "none". */
  set(fault: CommitFault, skip = 0): void {
    Atomics.store(this.#cells, 1, skip);
    Atomics.store(this.#cells, 0, FAULTS.indexOf(fault));
  }

  /** How many there have been. */
  get commits(): number {
    return Atomics.load(this.#cells, 2);
  }

  /** Asked by the writer once a commit. */
  take(): CommitFault {
    Atomics.add(this.#cells, 2, 1);
    const fault = FAULTS[Atomics.load(this.#cells, 0)] ?? "none";
    return fault === "none" || Atomics.sub(this.#cells, 1, 1) > 0 ? "none" : fault;
  }
}
