import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isRedisUrl, parseRedisUrl, type RedisUrl } from "../../src/config/redis-url.ts";

function read(text: string): RedisUrl {
  const parsed = parseRedisUrl(text, "/srv");
  if (parsed.kind === "wrong") assert.fail(`${text} ${parsed.wrongs.map(({ why }) => why).join()}`);
  return parsed.value;
}

function fault(text: string): string {
  const parsed = parseRedisUrl(text, "/srv");
  if (parsed.kind === "value") assert.fail(`${text} is taken for ${JSON.stringify(parsed.value)}`);
  return parsed.wrongs.map(({ text: piece, why }) => `${piece} ${why}`).join();
}

const open = { username: null, password: null, database: 0, tls: null };
const at = (host: string, port: number): Pick<RedisUrl, "place"> => ({ place: { kind: "standalone", host, port } });

describe("parseRedisUrl", () => {
  test("reads a server", () => {
    assert.deepEqual(read("redis://redis"), { ...open, ...at("redis", 6379) });
    assert.deepEqual(read("REDIS://redis/"), { ...open, ...at("redis", 6379) });
    assert.deepEqual(read("redis://127.0.0.1:7000/15"), { ...open, ...at("127.0.0.1", 7000), database: 15 });
    assert.deepEqual(read("redis://[::1]"), { ...open, ...at("::1", 6379) });
    assert.deepEqual(read("redis://[::1]:7000/0"), { ...open, ...at("::1", 7000) });
  });

  test("reads users and passwords, whatever they are made of", () => {
    assert.deepEqual(read("redis://:secret@h"), { ...open, ...at("h", 6379), password: "secret" });
    assert.deepEqual(read("redis://gate:a:b@c@h:1/2"), {
      ...at("h", 1),
      username: "gate",
      password: "a:b@c",
      database: 2,
      tls: null,
    });
    assert.deepEqual(read("redis://g%40te:%2F%3F%23%25%20%C3%BC@h"), {
      ...open,
      ...at("h", 6379),
      username: "g@te",
      password: "/?#% ü",
    });
  });

  test("reads sentinels and the name of their master", () => {
    assert.deepEqual(read("redis-sentinel://u:p@one,two:26000,[::1]:1/my%2Fmaster/3"), {
      place: {
        kind: "sentinel",
        sentinels: [
          { host: "one", port: 26_379 },
          { host: "two", port: 26_000 },
          { host: "::1", port: 1 },
        ],
        masterName: "my/master",
      },
      username: "u",
      password: "p",
      database: 3,
      tls: null,
    });
    assert.equal(read("redis-sentinel://one/verdicts").database, 0);
  });

  test("reads nodes of a cluster", () => {
    const nodes = [
      { host: "one", port: 6379 },
      { host: "two", port: 7000 },
    ];
    assert.deepEqual(read("redis-cluster://one,two:7000"), { ...open, place: { kind: "cluster", nodes } });
    assert.deepEqual(read("redis-cluster://one,two:7000/0"), { ...open, place: { kind: "cluster", nodes } });
  });

  test("reads TLS and its files", () => {
    assert.deepEqual(read("rediss://h").tls, { ca: null, cert: null, key: null });
    assert.deepEqual(read("rediss://h/1?ca=ca.pem").tls, { ca: "/srv/ca.pem", cert: null, key: null });
    assert.deepEqual(read("rediss-sentinel://h/m?cert=/c&key=/k").tls, { ca: null, cert: "/c", key: "/k" });
    assert.deepEqual(read("rediss-cluster://h?ca=%2Fetc%2Fa%20b&cert=/c&key=/k").tls, { ca: "/etc/a b", cert: "/c", key: "/k" });
  });

  test("says what is wrong", () => {
    const faults: Readonly<Record<string, readonly string[]>> = {
      "is not a Redis URL": ["redis:", "redis:host", "redis:/host"],
      "names no host, or one that is none": [
        "redis://",
        "redis:///1",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://::1",
        "redis://a b",
        "redis://1.2.3",
        "redis-cluster://a,,b",
        "redis-sentinel://,/m",
      ],
      "names several hosts: redis-sentinel:// or redis-cluster:// may": ["redis://a,b"],
      "lacks the master's name after the hosts": ["redis-sentinel://a", "redis-sentinel://a/", "redis-sentinel://a//1"],
      "does not end with a database": [
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "redis://h/65536",
        "redis://h/1.5",
        "redis-cluster://h/1",
        "redis-sentinel://h/m/x",
        "redis-sentinel://h/m/1/2",
      ],
      "has options; only rediss:// has some: ca, cert, key": ["redis://h?ca=x", "rediss://h?cafile=x", "rediss://h?ca=x&db=1"],
      "has one of cert and key; they go together": ["rediss://h?cert=x", "rediss://h?key=x"],
    };
    for (const [why, texts] of Object.entries(faults))
      for (const text of texts) assert.ok(fault(text).endsWith(` ${why}`), fault(text));
  });

  test("refuses a user or a colon without a password: a secret that was not filled in", () => {
    for (const text of ["redis://user@h", "redis://user:@h", "redis://:@h", "redis://@h", "redis://u:%zz@h"]) {
      assert.equal(fault(text), "redis://*** lacks a password after the user's colon, or has it badly encoded");
    }
  });

  test("shows no text that may hold a password", () => {
    const wrongs = [
      "redis://user:secret@",
      "redis://user:secret@h:x",
      "redis://user:sec/ret@h",
      "redis://user:sec?ret@h",
      "redis://user:secret#h",
      "redis://:secret",
      "redis://user:secret",
      "redis:user:secret@h",
      "redis:secret",
      "rediss-cluster://u:secret@a,b?x=secret",
      "redis-sentinel://u:secret@a",
      "redis://u:sec\nret@h",
      "redis://h:1,u:secret",
    ];
    for (const text of wrongs) assert.doesNotMatch(fault(text), /sec|ret/);
    assert.equal(fault("redis://h:1/x"), "redis://h:1/x does not end with a database");
  });

  test("knows its schemes", () => {
    for (const scheme of ["redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster", "REDIS"]) {
      assert.equal(isRedisUrl(`${scheme}://h`), true);
    }
    for (const text of ["redi://h", "redis-x://h", "sqlite:redis://h", ""]) assert.equal(isRedisUrl(text), false);
  });
});
