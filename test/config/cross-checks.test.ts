import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crossCheck } from "../../src/config/cross-checks.ts";
import { type Environment, readConfig } from "../../src/config/read-config.ts";

function faultsOf(environment: Environment): readonly string[] {
  const reading = readConfig(environment, { cwd: "/srv", cores: 2 });
  return reading.kind === "faults" ? reading.faults : [];
}

describe("crossCheck", () => {
  test("judges nothing that is not there", () => {
    assert.deepEqual(crossCheck({}), []);
    assert.deepEqual(crossCheck({ MAX_FILE_SIZE: 5, PROXY_USERNAME: "a", PORT: 1, SPOOL_DIRECTORY: "/" }), []);
  });

  test("wants room in the spool for the largest file", () => {
    assert.deepEqual(faultsOf({ SPOOL_MAX: "25M" }), []);
    assert.deepEqual(faultsOf({ SPOOL_MAX: "24M" }), ["MAX_FILE_SIZE (25M) must not be larger than SPOOL_MAX (24M)."]);
  });

  test("wants a port for the download proxy alone, unless the system chooses it", () => {
    assert.deepEqual(faultsOf({ PORT: "9001", DOWNLOAD_PROXY_PORT: "9001" }), [
      "PORT and DOWNLOAD_PROXY_PORT must differ; both are 9001.",
    ]);
    assert.deepEqual(faultsOf({ SSL_PORT: "8080", DOWNLOAD_PROXY_PORT: "8080" }), [
      "SSL_PORT and DOWNLOAD_PROXY_PORT must differ; both are 8080.",
    ]);
    assert.deepEqual(faultsOf({ PORT: "0", SSL_PORT: "0", DOWNLOAD_PROXY_PORT: "0" }), []);
  });

  test("takes SSL_CERT and SSL_KEY with and without SSL_PORT, there or not", () => {
    assert.deepEqual(faultsOf({ SSL_CERT: "/nowhere/a.crt" }), []);
    assert.deepEqual(faultsOf({ SSL_PORT: "9443", SSL_KEY: "/nowhere/a.key" }), []);
  });

  test("wants PROXY_PASSWORD with PROXY_USERNAME, in clamav-rest's words", () => {
    const fault = "PROXY_PASSWORD must be set when PROXY_USERNAME is provided.";
    const proxy = { PROXY_SERVER: "proxy.example" };
    assert.deepEqual(faultsOf({ ...proxy, PROXY_USERNAME: "scanner" }), [fault]);
    assert.deepEqual(faultsOf({ ...proxy, PROXY_USERNAME: "scanner", PROXY_PASSWORD: "" }), [fault]);
    assert.deepEqual(faultsOf({ ...proxy, PROXY_USERNAME: "scanner", PROXY_PASSWORD: "x" }), []);
    assert.deepEqual(faultsOf({ ...proxy, PROXY_PASSWORD: "x" }), []);
  });

  test("wants room for a socket's path below STATE_DIRECTORY, counted in bytes", () => {
    const ofBytes = (bytes: number) => `/${"s".repeat(bytes - 1)}`;
    assert.deepEqual(faultsOf({ STATE_DIRECTORY: ofBytes(75) }), []);
    assert.deepEqual(faultsOf({ STATE_DIRECTORY: ofBytes(76) }), []);
    assert.deepEqual(faultsOf({ STATE_DIRECTORY: ofBytes(77) }), [
      `STATE_DIRECTORY: "${ofBytes(77)}" is too long for a socket below it: allowed are 76 bytes, it has 77.`,
    ]);
    assert.equal(faultsOf({ STATE_DIRECTORY: `/${"ü".repeat(38)}` }).length, 1);
  });

  test("needs no socket of its own beside a given clamd", () => {
    assert.deepEqual(faultsOf({ STATE_DIRECTORY: `/${"s".repeat(200)}`, CLAMD_PORT: "3310" }), []);
  });

  test("takes settings of the own clamd beside a given one", () => {
    assert.deepEqual(faultsOf({ CLAMD_PORT: "3310", MAX_THREADS: "4", MAX_RECURSION: "10", SIGNATURE_CHECKS: "4" }), []);
  });

  test("wants the spool to itself: it is emptied at the start", () => {
    assert.deepEqual(faultsOf({ STATE_DIRECTORY: "/data", SPOOL_DIRECTORY: "/data" }), [
      'SPOOL_DIRECTORY: "/data" must be a directory of its own; it holds STATE_DIRECTORY, DATABASE_DIRECTORY, VERDICT_CACHE.',
    ]);
    assert.match(faultsOf({ SPOOL_DIRECTORY: "/" }).join(), /holds STATE_DIRECTORY/);
    assert.match(faultsOf({ SPOOL_DIRECTORY: "/s", DATABASE_DIRECTORY: "/s/db" }).join(), /it holds DATABASE_DIRECTORY\.$/);
    assert.match(faultsOf({ SPOOL_DIRECTORY: "/s", VERDICT_CACHE: "sqlite:/s/v" }).join(), /it holds VERDICT_CACHE\.$/);
    assert.deepEqual(faultsOf({ SPOOL_DIRECTORY: "/s", DATABASE_DIRECTORY: "/s-db", VERDICT_CACHE: "memory:" }), []);
    assert.deepEqual(faultsOf({ SPOOL_DIRECTORY: "/srv/state/..spool" }), []);
  });

  test("wants a list of the clients where they are asked who they are", () => {
    const fault = (ways: string) => `API_KEYS_FILE must name the file of the clients when AUTH is ${ways}.`;
    assert.deepEqual(faultsOf({ AUTH: "none" }), []);
    assert.deepEqual(faultsOf({ AUTH: "keys" }), [fault("keys")]);
    assert.deepEqual(faultsOf({ AUTH: "mtls", TRUSTED_PROXIES: "127.0.0.1" }), [fault("mtls")]);
    assert.deepEqual(faultsOf({ AUTH: "keys", API_KEYS_FILE: "k.json" }), []);
    for (const wrong of ["", ","]) assert.equal(faultsOf({ AUTH: wrong, API_KEYS_FILE: "k.json" }).length, 1);
    for (const wrong of ["key", "none,keys"]) assert.match(faultsOf({ AUTH: wrong, API_KEYS_FILE: "k.json" }).join(), /^AUTH: /);
  });

  test("lets nobody believe in a door that is open", () => {
    assert.deepEqual(faultsOf({ API_KEYS_FILE: "k.json" }), ["AUTH must be keys or mtls when API_KEYS_FILE is set: it is none."]);
    assert.deepEqual(faultsOf({ METRICS_AUTH: "yes" }), ["AUTH must be keys, jwt or mtls when METRICS_AUTH is yes: it is none."]);
    assert.deepEqual(faultsOf({ SSL_CLIENT_CA: "ca.pem" }), ["AUTH must have mtls when SSL_CLIENT_CA is set."]);
    assert.deepEqual(faultsOf({ JWT_AUDIENCE: "a" }), ["AUTH must have jwt when JWT_AUDIENCE is set."]);
    const jwt = { AUTH: "jwt", JWT_ISSUER: "i", JWT_AUDIENCE: "a", JWT_JWKS: "https://i/" };
    assert.deepEqual(faultsOf({ ...jwt, API_KEYS_FILE: "k.json" }), [
      "AUTH must be keys or mtls when API_KEYS_FILE is set: it is jwt.",
    ]);
    assert.deepEqual(faultsOf({ ...jwt, AUTH: "jwt,keys", API_KEYS_FILE: "k.json" }), []);
    assert.deepEqual(faultsOf({ AUTH: "keys", API_KEYS_FILE: "k.json", METRICS_AUTH: "yes" }), []);
  });

  test("wants issuer, audience and key set for tokens, and no file of keys", () => {
    assert.deepEqual(faultsOf({ AUTH: "jwt" }), ["JWT_ISSUER, JWT_AUDIENCE, JWT_JWKS must be set when AUTH has jwt."]);
    assert.deepEqual(faultsOf({ AUTH: "jwt", JWT_ISSUER: "i", JWT_AUDIENCE: "a" }), ["JWT_JWKS must be set when AUTH has jwt."]);
    assert.deepEqual(faultsOf({ AUTH: "jwt", JWT_ISSUER: "i", JWT_AUDIENCE: "a", JWT_JWKS: "https://i/" }), []);
  });

  test("takes a key set over https, and over plain http from loopback alone", () => {
    const isTaken = (url: string) => faultsOf({ AUTH: "jwt", JWT_ISSUER: "i", JWT_AUDIENCE: "a", JWT_JWKS: url }).length === 0;
    for (const url of [
      "https://i.example/keys",
      "https://10.0.0.1:6443/openid/v1/jwks",
      "http://127.0.0.1:8000/k",
      "http://[::1]/k",
    ]) {
      assert.ok(isTaken(url), url);
    }
    assert.ok(isTaken("http://localhost/k"));
    for (const url of [
      "http://i.example/keys",
      "http://10.0.0.1/k",
      "https://u:p@i.example/",
      "file:///k",
      "i.example",
      "https://i/ k",
    ]) {
      assert.ok(!isTaken(url), url);
    }
  });

  test("wants a way for certificates to come in", () => {
    const mtls = { AUTH: "mtls", API_KEYS_FILE: "k.json" };
    assert.deepEqual(faultsOf(mtls), [
      "SSL_CLIENT_CA, or TRUSTED_PROXIES that pass certificates on, must be set when AUTH has mtls.",
    ]);
    assert.deepEqual(faultsOf({ ...mtls, TRUSTED_PROXIES: "127.0.0.1" }), []);
    assert.deepEqual(faultsOf({ ...mtls, SSL_CLIENT_CA: "ca.pem" }), [
      "SSL_PORT must be set when SSL_CLIENT_CA is: a certificate is shown over TLS.",
    ]);
    assert.deepEqual(faultsOf({ ...mtls, SSL_CLIENT_CA: "ca.pem", SSL_PORT: "9443" }), []);
  });
});
