/**
 * A key as a KMS gave it back, wrapped, with what is needed to ask for it again (FORMAT.md §6, §9); the same shape as in
 * the port of the KMS. Which KMS key may be used is never read from here: that is the configuration's word.
 */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { EnvelopeError } from "./failure.ts";

/** Types of key-management systems. */
export type Provider = "Local" | "Vault" | "AWS" | "Azure" | "GCP" | "PKCS11";

export interface WrappedKey {
  readonly provider: Provider;
  readonly kmsKeyId: string;
  /** Version of the KMS key, as the KMS names it. */
  readonly version: string;
  readonly bytes: Uint8Array;
}

const PROVIDERS: readonly (Provider | undefined)[] = [undefined, "Local", "Vault", "AWS", "Azure", "GCP", "PKCS11"];

/** The byte that stands for a provider. */
export function providerByte(provider: Provider): number {
  return PROVIDERS.indexOf(provider);
}

/** The provider that a byte stands for; `Unsupported` if none. */
export function providerOf(byte: number): Provider {
  const provider = PROVIDERS[byte];
  if (provider === undefined) {
    throw new EnvelopeError("Unsupported", `Provider ${byte} is unknown`);
  }
  return provider;
}

/** LP(KMS key id) LP(key version) LP(wrapped key). */
export function writeWrapped(writer: ByteWriter, wrapped: WrappedKey): void {
  writer.text(wrapped.kmsKeyId);
  writer.text(wrapped.version);
  writer.lp(wrapped.bytes);
}

export function readWrapped(reader: ByteReader, provider: Provider): WrappedKey {
  return { provider, kmsKeyId: reader.text(), version: reader.text(), bytes: reader.lp() };
}
