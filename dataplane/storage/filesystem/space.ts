/* The reserve: what the disk must have left for the index, so that deleting still works on a full disk. */

import { StorageError } from "../storage.ts";
import type { Disk } from "./disk.ts";

const CHECK_EVERY_MS = 500;

export interface Reserve {
  readonly share: number;
  readonly bytesMin: number;
}

export const DEFAULT_RESERVE: Reserve = { share: 0.01, bytesMin: 256 * 1024 * 1024 };

export class Room {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #reserve: Reserve;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #full: string | undefined;

  constructor(disk: Disk, folder: string, reserve: Reserve) {
    this.#disk = disk;
    this.#folder = folder;
    this.#reserve = reserve;
  }

  /** Why no body is taken. */
  full(): string | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#lookedAtMs > CHECK_EVERY_MS) {
      this.#lookedAtMs = nowMs;
      this.#full = this.#look();
    }
    return this.#full;
  }

  #look(): string | undefined {
    try {
      const { freeBytes, totalBytes } = this.#disk.space(this.#folder);
      const leastBytes = Math.max(this.#reserve.bytesMin, this.#reserve.share * totalBytes);
      return freeBytes < leastBytes ? `the disk has ${freeBytes} bytes left, less than the reserve` : undefined;
    } catch (error) {
      return `the disk does not say what it has left: ${String(error)}`;
    }
  }

  assertRoom(): void {
    const reason = this.full();
    if (reason !== undefined) {
      throw new StorageError("full", `No body is taken: ${reason}`);
    }
  }
}
