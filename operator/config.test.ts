import { describe, expect, it } from "vitest";
import { readEnvironment } from "./config.ts";

const NEEDED = { COFFER_NAMESPACE: "coffer-system", COFFER_IMAGE: "coffer:1" };

describe("readEnvironment()", () => {
  it("has a default for all but where it runs and what it runs", () => {
    expect(readEnvironment(NEEDED)).toEqual({
      kubeconfig: undefined,
      inCluster: undefined,
      namespace: "coffer-system",
      podName: "coffer-operator",
      image: "coffer:1",
      watchNamespaces: undefined,
      logLevel: "info",
      healthPort: 8081,
      leaseName: "coffer-operator",
    });
  });

  it("finds the API server as every pod does", () => {
    const found = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
    expect(readEnvironment({ ...NEEDED, ...found }).inCluster).toEqual({
      host: "10.96.0.1",
      port: "443",
      folder: "/var/run/secrets/kubernetes.io/serviceaccount",
    });
  });

  it("takes a list of namespaces, each once", () => {
    const { watchNamespaces } = readEnvironment({ ...NEEDED, COFFER_WATCH_NAMESPACES: "a, b,a," });
    expect(watchNamespaces).toEqual(["a", "b"]);
  });

  it("says all that is wrong at once", () => {
    const wrong = { COFFER_LOG_LEVEL: "Loud", COFFER_HEALTH_PORT: "70000", COFFER_WATCH_NAMESPACES: "Team" };
    expect(() => readEnvironment(wrong)).toThrow(
      /COFFER_NAMESPACE.*COFFER_IMAGE.*COFFER_LOG_LEVEL.*COFFER_HEALTH_PORT.*COFFER_WATCH_NAMESPACES: "Team"/,
    );
  });
});
