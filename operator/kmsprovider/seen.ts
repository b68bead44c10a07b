// What looks at keys have shown, and when the next is due; shared by those who look in a cluster and without one.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import type { KmsCode } from "../../kms/kms.ts";

/** The last real wrap and unwrap; undefined: none yet. */
export type Probe =
  | { readonly outcome: "same" | "different" }
  | { readonly outcome: "failed"; readonly code: KmsCode; readonly message: string }
  | undefined;

/** What came of the last look. */
export interface Look {
  readonly probe: Probe;
  /** Of probes, in a row. */
  readonly failures: number;
  /** Newest version, of a key that is not at hand; undefined: it could not be asked for. */
  readonly version: string | undefined;
  /** The version was asked for after the wish to rotate the key was found. */
  readonly isReadAnew: boolean;
}

export interface SeenLook extends Omit<Look, "isReadAnew"> {
  /** The options that were tried, as text. */
  readonly of: string;
  /** When it began. */
  readonly turn: number;
  readonly againAtMs: number;
}

/** Whether the key that `of` opens is to be looked at once more. `afterTurn`: as `Turns` gives it. */
export function isLookDue(
  seen: SeenLook | undefined,
  of: string,
  afterTurn: number,
  { spec }: KmsProvider,
  nowMs: number,
): boolean {
  if (seen?.of !== of || seen.turn < afterTurn) return true;
  const leftMs = seen.againAtMs - nowMs;
  // An interval that has become shorter holds at once.
  return leftMs <= 0 || leftMs > durationMs(spec.healthCheck.interval);
}

/** Puts looks at keys, wishes to rotate them and their rotations in order: a look says nothing of what came after its
 *  beginning, however late it ends. */
export class Turns {
  #turn = 0;
  readonly #wished = new Map<string, number>();
  readonly #rotated = new Map<string, { readonly version: string; readonly turn: number }>();

  /** The turn of a look that begins now. */
  next(): number {
    this.#turn += 1;
    return this.#turn;
  }

  /** A rotation that has just ended: its version stands until a look that begins from now on. */
  noteRotation(item: string, version: string): void {
    this.#rotated.set(item, { version, turn: this.next() });
  }

  /** The turn after which a look must have begun, to say which version to rotate from; 0: any will do, as the key is not
   *  to be rotated. The first call after that was otherwise is when the wish was found. */
  lookAfter(item: string, isWished: boolean): number {
    if (!isWished) {
      this.#wished.delete(item);
      return 0;
    }
    const wished = this.#wished.get(item) ?? this.next();
    this.#wished.set(item, wished);
    return Math.max(wished, this.#rotated.get(item)?.turn ?? 0);
  }

  /** What is known by that look, and by a rotation that ended after its beginning. */
  lookOf(item: string, { probe, failures, turn, version }: SeenLook): Look {
    const isReadAnew = this.#wished.has(item) && version !== undefined && turn > this.lookAfter(item, true);
    const rotated = this.#rotated.get(item);
    const isOvertaken = rotated !== undefined && turn < rotated.turn;
    return { probe, failures, version: isOvertaken ? rotated.version : version, isReadAnew };
  }

  forget(item: string): void {
    this.#wished.delete(item);
    this.#rotated.delete(item);
  }
}
