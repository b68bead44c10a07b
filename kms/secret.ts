// Holds a secret value so that it cannot be printed by accident: not in a message, not as JSON, not by a logger.

const REDACTED = "[redacted]";

/** A value that only `reveal()` gives away. Text and JSON show that there is one, and nothing of it. */
export class Secret<Value extends string | Uint8Array = string> {
  readonly #value: Value;

  constructor(value: Value) {
    this.#value = value;
  }

  /** The value itself. Bytes are not copied: they belong to whoever made the Secret. */
  reveal(): Value {
    return this.#value;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.toPrimitive](): string {
    return REDACTED;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return REDACTED;
  }
}
