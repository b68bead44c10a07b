import { storageContract } from "./contract/contract.ts";
import { createMemoryStorage } from "./memory.ts";

storageContract("memory", async (nowMs) => {
  const storage = createMemoryStorage(nowMs);
  return { storage, end: () => storage.close() };
});
