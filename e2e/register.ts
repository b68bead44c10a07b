// What a name may hold while several clients write to it and the store is killed under them: a write that was answered
// holds unless another began behind its answer, and one that was not may have happened or not.

interface Write {
  readonly value: string | undefined;
  readonly began: number;
  ended: number;
}

const NEVER = Number.POSITIVE_INFINITY;
const ALWAYS = Number.NEGATIVE_INFINITY;

/** One write while it runs. Unless one of the two is called its outcome is unknown. */
export interface Running {
  acknowledged(): void;
  /** It certainly was not done, and will not be. */
  refused(): void;
}

/** undefined: nothing is there. */
export class Register {
  #writes: Write[] = [{ value: undefined, began: ALWAYS, ended: ALWAYS }];
  readonly #windows = new Set<Set<string | undefined>>();

  begin(value: string | undefined): Running {
    const write: Write = { value, began: performance.now(), ended: NEVER };
    this.#writes.push(write);
    for (const window of this.#windows) window.add(value);
    return {
      acknowledged: () => {
        write.ended = performance.now();
        this.#forget();
      },
      refused: () => {
        this.#writes = this.#writes.filter((other) => other !== write);
      },
    };
  }

  /** What `read` may find, whoever writes while it reads. */
  async during<Found>(
    read: () => Promise<Found>,
  ): Promise<{ found: Found; possible: ReadonlySet<string | undefined> }> {
    const possible = new Set(this.possible());
    this.#windows.add(possible);
    try {
      return { found: await read(), possible };
    } finally {
      this.#windows.delete(possible);
    }
  }

  possible(): ReadonlySet<string | undefined> {
    return new Set(this.#writes.map(({ value }) => value));
  }

  /** What it holds has been seen while nobody writes. */
  settle(value: string | undefined): void {
    this.#writes = [{ value, began: ALWAYS, ended: ALWAYS }];
  }

  /** What was overwritten for certain cannot come back. */
  #forget(): void {
    const latestBegin = Math.max(...this.#writes.filter(({ ended }) => ended < NEVER).map(({ began }) => began));
    this.#writes = this.#writes.filter(({ ended }) => ended >= latestBegin);
  }
}
