import { beforeAll } from "vitest";
import { describeKmsContract } from "../contract/contract.ts";
import { PATIENT } from "../contract/subject.ts";
import { openKms } from "../open.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { MEANS, startVaultSubject, TIMEOUT_MS } from "./contract/keys.ts";
import { createVaultKms } from "./vault.ts";

beforeAll(installOpenBao, INSTALL_TIMEOUT_MS);

describeKmsContract("Vault", () => startVaultSubject(async (options) => createVaultKms(options, MEANS)));

const SETTINGS = { timeoutMs: TIMEOUT_MS, negativeTtlMs: 10_000, observe: () => {} };

describeKmsContract("Vault, opened from options with resilience around it", () =>
  startVaultSubject(async (options) => await openKms(options, SETTINGS, PATIENT)),
);
