/** The shape of a kind of job. */
import type { Call } from "../call.ts";
import type { Counts } from "../keys/keys.ts";
import type { Snapshot } from "../snapshot.ts";

export interface JobSpec {
  readonly bucket: string;
  readonly wish: string;
}

/** One bounded step. Repeating it changes nothing. */
export interface JobStep {
  readonly cursor: string | undefined;
  readonly counts: Counts;
  readonly keyVersions: readonly string[];
  /** Why it cannot go on without a person; looked at again from time to time. */
  readonly blocked: string | undefined;
  /** Why it cannot go on yet: looked at again soon. */
  readonly waits?: string | undefined;
}

export interface JobKind {
  readonly kind: string;
  /** Pure: what the configuration calls for, whether it was done already or not. */
  wanted(snapshot: Snapshot): readonly JobSpec[];
  step(call: Call, spec: JobSpec, cursor: string | undefined): Promise<JobStep>;
}
