// What opens the key of each KmsProvider, as its controller last tried it: known to whoever compiles. In memory alone; a
// new leader tries again, and until then a configuration keeps what it has.

import { type KmsOptions, printKmsOptions } from "../kms/options.ts";
import type { Finding } from "./compile/compile.ts";

/** Only what was tried and works; or why there is nothing. */
export type Material = { readonly options: KmsOptions; readonly kmsKeyId: string } | Finding;

export class Materials {
  readonly #byProvider = new Map<string, { readonly material: Material; readonly text: string }>();
  readonly #listeners: ((provider: string) => void)[] = [];

  /** Told when what opens a key has changed. */
  listen(listener: (provider: string) => void): void {
    this.#listeners.push(listener);
  }

  /** By `itemOf` of the provider. */
  find(provider: string): Material | undefined {
    return this.#byProvider.get(provider)?.material;
  }

  set(provider: string, material: Material): void {
    const text = "options" in material ? JSON.stringify(printKmsOptions(material.options)) : JSON.stringify(material);
    if (this.#byProvider.get(provider)?.text === text) return;
    this.#byProvider.set(provider, { material, text });
    for (const listener of this.#listeners) listener(provider);
  }

  forget(provider: string): void {
    if (!this.#byProvider.delete(provider)) return;
    for (const listener of this.#listeners) listener(provider);
  }
}
