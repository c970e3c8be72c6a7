import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { proxyPlace } from "../../src/app/proxy.ts";
import { readConfig } from "../../src/config/read-config.ts";

function placeOf(environment: Readonly<Record<string, string>>) {
  const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
  assert.ok(reading.kind === "config");
  return proxyPlace(reading.config);
}

describe("proxyPlace", () => {
  const here = { host: "127.0.0.1", isKeptHere: true };

  test("is this machine alone where nothing says what the proxy is for", () => {
    for (const environment of [
      {},
      { HOST: "0.0.0.0" },
      { HOST: "10.0.0.5" },
      { DOWNLOAD_ORIGINS: "any" },
      { DOWNLOAD_ALLOW_PRIVATE: "10.0.0.0/8" },
    ])
      assert.deepEqual(placeOf(environment), here, JSON.stringify(environment));
  });

  test("is HOST where origins, peers or routes say what it is for", () => {
    for (const purpose of [
      { DOWNLOAD_ORIGINS: "https://files.pythonhosted.org" },
      { DOWNLOAD_TRUSTED_PEERS: "10.0.0.1" },
      { DOWNLOAD_ROUTES: "routes.json" },
    ]) {
      assert.deepEqual(placeOf(purpose), { host: "::", isKeptHere: false });
      assert.deepEqual(placeOf({ ...purpose, HOST: "10.0.0.5" }), { host: "10.0.0.5", isKeptHere: false });
    }
  });

  test("is DOWNLOAD_PROXY_HOST whatever else is set", () => {
    assert.deepEqual(placeOf({ DOWNLOAD_PROXY_HOST: "::" }), { host: "::", isKeptHere: false });
    const both = { DOWNLOAD_PROXY_HOST: "127.0.0.1", DOWNLOAD_ORIGINS: "https://files.pythonhosted.org" };
    assert.deepEqual(placeOf(both), { host: "127.0.0.1", isKeptHere: false });
  });

  test("is HOST where that is this machine alone already", () => {
    for (const host of ["127.0.0.1", "127.0.0.53", "::1", "localhost"]) {
      assert.deepEqual(placeOf({ HOST: host }), { host, isKeptHere: false });
    }
  });
});
