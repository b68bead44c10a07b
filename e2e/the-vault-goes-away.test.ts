// A Vault that is paused, sealed or killed while clients write and read: keys that were unwrapped a moment ago serve on for
// as long as they may, then every request is refused in time, Vault is hardly asked, and all goes on by itself.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeFolders, type Store, startStore, waitFor } from "./harness.ts";
import { OpenBao } from "./openbao.ts";
import { Clients, createVaultFolders, editFile } from "./vaultstore.ts";

/** OpenBao comes over the network the first time. */
const INSTALL_MS = 600_000;
const TTL_MS = 3_000;
/** What a quiet machine is promised, and what a busy one is given beside it. */
const REFUSED_MS = 2_000;
const PATIENCE = 5;
/** The breaker opens for about five seconds, and then lets one call through. */
const OPEN_MS = 5_000;
const BACK_WITHIN_MS = 60_000;
const SOON_MS = 60_000;
/** Five in a row open the breaker, of clients who ask at the same time; then one each time it has been open. */
const CALLS_MAX = 16;
const REFUSED_COUNT = 50;

let bao: OpenBao;
let store: Store;

beforeAll(async () => {
  bao = await OpenBao.create();
  const folders = await createVaultFolders(bao);
  await editFile(
    join(folders.configDir, "kmsprovider.yaml"),
    (yaml) => `${yaml.trimEnd()}\n  cache:\n    ttl: ${TTL_MS}ms\n`,
  );
  store = await startStore({ folders });
}, INSTALL_MS);
afterAll(async () => {
  await store?.stop();
  if (store !== undefined) await removeFolders(store);
  await bao?.remove();
});

/** Calls of the data plane to Vault so far, whatever came of them. */
async function callsNow(): Promise<number> {
  const text = await (await fetch(`${store.urls.admin}/metrics`)).text();
  const counts = [...text.matchAll(/^coffer_kms_call_seconds_count\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
  return counts.reduce((sum, count) => sum + count, 0);
}

interface Fate {
  readonly go: () => Promise<void> | void;
  readonly comeBack: () => Promise<void> | void;
  readonly awayMs: number;
}

/** Calls that hang are few, since all who wait share one: it takes a while until the breaker has seen five. */
const fates: Readonly<Record<string, Fate>> = {
  "is paused": { go: () => bao.pause(), comeBack: () => bao.resume(), awayMs: 12_000 },
  "is sealed": { go: () => bao.seal(), comeBack: () => bao.unseal(), awayMs: 6_000 },
  "is killed": { go: () => bao.kill(), comeBack: () => bao.start(), awayMs: 6_000 },
};

describe("when Vault", () => {
  test.each(Object.entries(fates))(
    "%s, nothing that was acknowledged is lost, and nobody waits long",
    async (_what, fate) => {
      const pid = await store.dataPlanePid();
      const clients = new Clients(await store.credentials());
      await waitFor("something to be written", SOON_MS, () => clients.acknowledged > 100);

      const callsBefore = await callsNow();
      const goneMs = performance.now();
      await fate.go();
      await sleep(fate.awayMs);
      await waitFor("enough to be refused", SOON_MS, () => clients.refused.length > REFUSED_COUNT);
      await fate.comeBack();
      const backMs = performance.now();
      const calls = (await callsNow()) - callsBefore;
      const refused = clients.refused.filter(({ atMs }) => atMs >= goneMs && atMs < backMs);
      await waitFor("requests to be served again", BACK_WITHIN_MS, () => clients.servedAtMs > backMs);
      const acknowledged = clients.acknowledged;
      await waitFor("more to be written", SOON_MS, () => clients.acknowledged > acknowledged + 50);
      await clients.stop();
      expect(await store.dataPlanePid()).toBe(pid);

      // A cached key has some of its time left, and gets no more.
      expect(clients.unexplained().filter(({ atMs }) => atMs < goneMs)).toEqual([]);
      const firstMs = Math.min(...refused.map(({ atMs }) => atMs - goneMs));
      const longestMs = Math.max(...refused.map(({ tookMs }) => tookMs));
      process.stdout.write(
        `${refused.length} refused from ${firstMs.toFixed(0)} ms on, within ${longestMs.toFixed(0)} ms; ${calls} calls\n`,
      );
      expect(firstMs).toBeLessThan(TTL_MS + REFUSED_MS * PATIENCE);
      expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
      expect(refused.filter(({ retryAfter }) => !/^[1-9]\d*$/.test(retryAfter ?? ""))).toEqual([]);
      expect(longestMs).toBeLessThan(REFUSED_MS * PATIENCE);
      expect(calls).toBeLessThanOrEqual(CALLS_MAX + Math.ceil((backMs - goneMs - fate.awayMs) / OPEN_MS));
    },
  );

  test("is away while the store starts, the store starts, and serves once Vault is back", async () => {
    const clients = new Clients(await store.credentials());
    await waitFor("something to be written", SOON_MS, () => clients.acknowledged > 50);
    await clients.stop();
    await store.kill();
    await bao.seal();
    const starting = startStore({ folders: store, urls: store.urls });
    await sleep(2_000);
    await bao.unseal();
    store = await starting;
    const again = new Clients(await store.credentials());
    await waitFor("requests to be served", BACK_WITHIN_MS, () => again.acknowledged > 50);
    await again.stop();
  });
});
