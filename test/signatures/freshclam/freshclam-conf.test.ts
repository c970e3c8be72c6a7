import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClamgateError } from "../../../src/core/errors.ts";
import { type FreshclamSettings, freshclamConf, readFreshclamConf } from "../../../src/signatures/freshclam/freshclam-conf.ts";

const settings: FreshclamSettings = {
  databaseDirectory: "/state/signatures",
  databaseOwner: null,
  mirror: null,
  customUrls: [],
  proxy: null,
  connectTimeoutSeconds: 10,
  receiveTimeoutSeconds: 60,
  maxAttempts: 2,
};

describe("freshclamConf", () => {
  test("asks the project's servers by default", () => {
    const expected = [
      "DatabaseDirectory /state/signatures",
      "LogTime yes",
      "Foreground yes",
      "TestDatabases yes",
      "ConnectTimeout 10",
      "ReceiveTimeout 60",
      "MaxAttempts 2",
      "DatabaseMirror database.clamav.net",
      "",
    ];
    assert.equal(freshclamConf(settings), expected.join("\n"));
  });

  test("names the owner, the custom databases and the proxy", () => {
    const text = freshclamConf({
      ...settings,
      databaseOwner: "root",
      customUrls: ["https://example.test/a.ndb", "file:///b.hdb"],
      proxy: { server: "proxy.test", port: 3128, credentials: { username: "u", password: "p w:\\" } },
    });
    for (const line of [
      "DatabaseOwner root",
      "DatabaseCustomURL https://example.test/a.ndb",
      "DatabaseCustomURL file:///b.hdb",
      "HTTPProxyServer proxy.test",
      "HTTPProxyPort 3128",
      "HTTPProxyUsername u",
      "HTTPProxyPassword p w:\\",
    ]) {
      assert.ok(text.split("\n").includes(line), line);
    }
    assert.doesNotMatch(text, /NotifyClamd/);
  });

  test("asks a private mirror without DNS, and nobody else", () => {
    const text = freshclamConf({ ...settings, mirror: "http://mirror.test" });
    assert.match(text, /^PrivateMirror http:\/\/mirror\.test$/m);
    assert.match(text, /^DNSDatabaseInfo no$/m);
    assert.doesNotMatch(text, /clamav\.net/);
  });

  test("takes one of the project's own servers for what it is", () => {
    assert.match(freshclamConf({ ...settings, mirror: "db.de.clamav.net" }), /^DatabaseMirror db\.de\.clamav\.net$/m);
  });

  for (const value of ["", " x", "x ", "a\nDatabaseMirror b", "a\rb", "a\0b", "pass#word", '"quoted"', "x".repeat(901)]) {
    test(`refuses ${JSON.stringify(value.slice(0, 30))}, naming the option and not the value`, () => {
      const proxy = { server: "proxy.test", port: null, credentials: { username: "u", password: value } };
      assert.throws(
        () => freshclamConf({ ...settings, proxy }),
        (error) => {
          assert.ok(error instanceof ClamgateError);
          assert.match(error.detail ?? "", /^HTTPProxyPassword: /);
          assert.ok(value.length < 3 || !error.message.includes(value));
          return true;
        },
      );
    });
  }

  test("refuses such values for every option", () => {
    const bad = "a\nb";
    for (const change of [{ databaseDirectory: bad }, { databaseOwner: bad }, { mirror: bad }, { customUrls: [bad] }]) {
      assert.throws(() => freshclamConf({ ...settings, ...change }), ClamgateError);
    }
  });
});

describe("readFreshclamConf", () => {
  test("finds the first uncommented value of each", () => {
    const text =
      "# comment\n#DatabaseDirectory /no\n  DatabaseDirectory   /tmp/clamav-db\r\nDatabaseDirectory /later\nUpdateLogFile\t/tmp/freshclam.log\n";
    assert.deepEqual(readFreshclamConf(text), { databaseDirectory: "/tmp/clamav-db", updateLogFile: "/tmp/freshclam.log" });
  });

  test("finds nothing in a text without them", () => {
    const none = { databaseDirectory: null, updateLogFile: null };
    for (const text of [
      "",
      "DatabaseDirectory",
      "DatabaseDirectoryX /x",
      "databasedirectory /x",
      "X DatabaseDirectory /x",
      "\0\0\0",
    ]) {
      assert.deepEqual(readFreshclamConf(text), none);
    }
  });

  test("reads quotes, blanks and remarks as freshclam does", () => {
    assert.equal(readFreshclamConf('DatabaseDirectory "/a b" # here').databaseDirectory, "/a b");
    assert.equal(readFreshclamConf("DatabaseDirectory /a b  # here").databaseDirectory, "/a b");
  });

  test("reads back what is written", () => {
    assert.deepEqual(readFreshclamConf(freshclamConf(settings)), {
      databaseDirectory: settings.databaseDirectory,
      updateLogFile: null,
    });
  });
});
