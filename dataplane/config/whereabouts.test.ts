import { describe, expect, it } from "vitest";
import { readWhereabouts } from "./whereabouts.ts";

describe("readWhereabouts()", () => {
  it("has defaults for everything", () => {
    expect(readWhereabouts({ COFFER_CONFIG: "/c.json" }).where).toEqual({
      configPath: "/c.json",
      listenAddress: "127.0.0.1",
      s3Port: 9000,
      restPort: 8080,
      adminPort: 9090,
      dataDir: "data",
      secretsDir: "secrets",
      shutdownDelayMs: 0,
    });
    expect(readWhereabouts({ COFFER_CONFIG: "" }).where.configPath).toBeUndefined();
  });

  it("reports all problems at once", () => {
    expect(readWhereabouts({ COFFER_S3_PORT: "x", COFFER_REST_PORT: "70000" }).problems).toEqual([
      "COFFER_S3_PORT must be a port from 0 to 65535",
      "COFFER_REST_PORT must be a port from 0 to 65535",
    ]);
  });

  it.each(["0x71AC", "9e3", "9000.0", " 9000", "+9000"])("takes digits alone for a port: %j", (text) => {
    expect(readWhereabouts({ COFFER_S3_PORT: text }).problems).toHaveLength(1);
  });

  it("takes whole seconds for the end to wait, within bounds", () => {
    const read = (seconds: string) => readWhereabouts({ COFFER_SHUTDOWN_DELAY_SECONDS: seconds });
    expect(["", "0", "3", "60"].map((one) => read(one).where.shutdownDelayMs)).toEqual([0, 0, 3000, 60_000]);
    for (const wrong of ["-1", "0.5", "61", "3s"]) {
      expect(read(wrong).problems).toEqual(["COFFER_SHUTDOWN_DELAY_SECONDS must be whole seconds from 0 to 60"]);
    }
  });
});
