import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { verdictCacheChoice } from "../../src/config/verdict-cache-choice.ts";
import { faultsOf, valueFrom } from "./parsing.ts";

describe("verdictCacheChoice", () => {
  test("reads every kind", () => {
    assert.deepEqual(valueFrom(verdictCacheChoice(), "sqlite:"), { kind: "sqlite", path: "/srv/clamgate/state/verdicts.sqlite" });
    assert.deepEqual(valueFrom(verdictCacheChoice(), "sqlite:/var/cache/v.db"), { kind: "sqlite", path: "/var/cache/v.db" });
    assert.deepEqual(valueFrom(verdictCacheChoice(), "sqlite:v.db"), { kind: "sqlite", path: "/srv/clamgate/v.db" });
    assert.deepEqual(valueFrom(verdictCacheChoice(), "memory:"), { kind: "memory" });
    assert.deepEqual(valueFrom(verdictCacheChoice(), "none"), { kind: "none" });
    assert.deepEqual(valueFrom(verdictCacheChoice(), "rediss://:secret@redis/2?ca=ca.pem"), {
      kind: "redis",
      target: {
        place: { kind: "standalone", host: "redis", port: 6379 },
        username: null,
        password: "secret",
        database: 2,
        tls: { ca: "/srv/clamgate/ca.pem", cert: null, key: null },
      },
    });
  });

  test("refuses every other kind", () => {
    for (const text of ["sqlite", "memory", "memory:x", "none:", "http://localhost", "/var/cache/v.db", "sqlite:a\0b"]) {
      assert.deepEqual(faultsOf(verdictCacheChoice(), text), [`${text} is not a verdict cache`]);
    }
  });

  test("shows no password in a text that it refuses", () => {
    assert.deepEqual(faultsOf(verdictCacheChoice(), "redis://user:secret@"), ["redis://*** names no host, or one that is none"]);
    assert.deepEqual(faultsOf(verdictCacheChoice(), "valkey://user:secret@host"), ["*** is not a verdict cache"]);
  });
});
