/**
 * The ways in which encrypted bytes can fail, as one error with a closed list of codes, and the check for mistakes of
 * the caller. What an answer to a client says about either is left to the programs.
 */

/**
 * FORMAT.md §12. `Malformed`: length, magic or structure is not that of the format. `Unsupported`: well-formed, but of a
 * version, suite, use or provider unknown here. `WrongKey`: the commitment names another key. `Tampered`: a tag, a head,
 * a size or a check does not hold. `Missing`: something that must be there is not.
 */
export type EnvelopeCode = "Malformed" | "Unsupported" | "WrongKey" | "Tampered" | "Missing";

/** What every function of this folder throws for bad bytes. The message names no secret and no plaintext. */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";
  readonly code: EnvelopeCode;

  constructor(code: EnvelopeCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws a plain Error if `holds` is false: for mistakes of the calling code, never for bytes that were read. */
export function insist(holds: boolean, mistake: string): asserts holds {
  if (!holds) {
    throw new Error(`Mistake in the calling code: ${mistake}`);
  }
}
