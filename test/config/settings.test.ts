import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { archiveFormats } from "../../src/codec/file-format.ts";
import { readConfig } from "../../src/config/read-config.ts";
import { groups } from "../../src/config/setting.ts";
import { type Config, settings } from "../../src/config/settings.ts";
import { canaryFileName } from "../../src/signatures/canary.ts";

const K = 1024;
const M = 1024 * K;
const G = 1024 * M;

/** rest.md 65 where clamav-rest has the setting; SSL_PORT and ALLOW_ORIGINS are off here on purpose. */
const defaults: Config = {
  HOST: "::",
  PORT: 9000,
  SSL_PORT: null,
  SSL_CERT: "/etc/ssl/clamav-rest/server.crt",
  SSL_KEY: "/etc/ssl/clamav-rest/server.key",
  ALLOW_ORIGINS: [],
  PAGE: true,
  TRUSTED_PROXIES: [],
  AUTH: [],
  API_KEYS_FILE: null,
  JWT_ISSUER: null,
  JWT_AUDIENCE: null,
  JWT_JWKS: null,
  JWT_DEFAULT_SCOPES: ["scan"],
  METRICS_AUTH: false,
  SSL_CLIENT_CA: null,
  AUDIT: null,
  AUDIT_NAMES: "plain",
  AUDIT_REQUIRED: false,
  CLAMD_PORT: null,
  CLAMD_SLOTS: "auto",
  CLAMD_THREADS: 10,
  CLAMD_SHARERS: 1,
  CLAMD_SHARES_SPOOL: false,
  GIVEN_CLAMD: "warn",
  GIVEN_VERDICT_TTL: 300_000,
  GIVEN_EPOCH_FILE: null,
  MAX_RECONNECT_TIME: 30,
  MAX_THREADS: 4,
  MAX_SCAN_SIZE: 100 * M,
  MAX_FILE_SIZE: 25 * M,
  MAX_RECURSION: 17,
  MAX_FILES: 10_000,
  MAX_EMBEDDEDPE: 10 * M,
  MAX_HTMLNORMALIZE: 10 * M,
  MAX_HTMLNOTAGS: 2 * M,
  MAX_SCRIPTNORMALIZE: 5 * M,
  MAX_ZIPTYPERCG: M,
  MAX_PARTITIONS: 50,
  MAX_ICONSPE: 100,
  PCRE_MATCHLIMIT: 100_000,
  PCRE_RECMATCHLIMIT: 2000,
  MAX_SCAN_TIME: 60_000,
  SIGNATURE_CHECKS: 2,
  PROXY_SERVER: null,
  PROXY_PORT: null,
  PROXY_USERNAME: null,
  PROXY_PASSWORD: null,
  DATABASE_DIRECTORY: "/srv/state/signatures",
  DATABASE_MIRROR: null,
  DATABASE_CUSTOM_URLS: [],
  FRESHCLAM_CONF: null,
  FIRST_FETCH_TIMEOUT: 600_000,
  MAX_DATABASE_AGE: null,
  WARN_DATABASE_AGE: 259_200_000,
  STATE_DIRECTORY: "/srv/state",
  SPOOL_DIRECTORY: "/srv/state/spool",
  SPOOL_MEMORY: M,
  SPOOL_MEMORY_TOTAL: 32 * M,
  SPOOL_MAX: 10 * G,
  SCAN_PATH_ROOTS: [],
  SCAN_TIMEOUT: 90_000,
  QUEUE_TIMEOUT: 30_000,
  QUEUE_MAX: 1000,
  QUEUE_MAX_PER_CLIENT: 0,
  ON_UNSCANNABLE: new Set(),
  UNSUPPORTED_FORMATS: [],
  DOWNLOAD_PROXY_PORT: 8080,
  DOWNLOAD_PROXY_HOST: null,
  DOWNLOAD_FORWARD_HEADERS: [],
  DOWNLOAD_ORIGINS: [{ kind: "any" }],
  DOWNLOAD_REDIRECT_ORIGINS: [],
  DOWNLOAD_ALLOW_PRIVATE: [],
  DOWNLOAD_TRUSTED_PEERS: [],
  DOWNLOAD_ROUTES: null,
  DOWNLOAD_MODE: "strict",
  DOWNLOAD_TRICKLE_AFTER: 10_000,
  DOWNLOAD_TRICKLE_INTERVAL: 10_000,
  DOWNLOAD_TIMEOUT: 3_600_000,
  DOWNLOAD_IDLE_TIMEOUT: 60_000,
  DOWNLOAD_EXTRA_CA: null,
  DOWNLOAD_MAX: 200,
  DOWNLOAD_MAX_PER_ORIGIN: 100,
  DOWNLOAD_MAX_PER_CLIENT: 1000,
  ICAP_PORT: null,
  ICAP_SSL_PORT: null,
  ICAP_CLIENT_CA: null,
  ICAP_CLIENTS: [],
  ICAP_SERVICES: null,
  ICAP_PREVIEW: 4096,
  ICAP_MAX_CONNECTIONS: 1000,
  ICAP_IDLE_TIMEOUT: 600_000,
  ICAP_MODE: "strict",
  ICAP_TRICKLE_AFTER: 10_000,
  ICAP_TRICKLE_INTERVAL: 10_000,
  ICAP_ON_ERROR: { forAll: "reset", forPath: new Map([["proxy", "page"]]) },
  VERDICT_CACHE: { kind: "sqlite", path: "/srv/state/verdicts.sqlite" },
  VERDICT_TTL: 86_400_000,
  VERDICT_CACHE_MAX: 1_000_000,
  CLIENT_HEAD_TIMEOUT: 60_000,
  CLIENT_IDLE_TIMEOUT: 60_000,
  CLIENT_MIN_RATE: 0,
  CLAMD_LISTEN: null,
  CLAMD_ALLOW_FROM: [],
  CLAMD_MAX_CONNECTIONS: 1_000,
  CLAMD_COMMAND_TIMEOUT: 30_000,
  CLAMD_READ_TIMEOUT: 120_000,
  MAX_CONNECTIONS: 0,
  SHUTDOWN_GRACE: 30_000,
  SHUTDOWN_DELAY: 0,
  LOG_LEVEL: "info",
  LOG_FORMAT: "auto",
};

/** One text for each setting that is not its default, and what it must become. */
const examples: { readonly [Name in keyof Config]: readonly [text: string, value: Config[Name]] } = {
  HOST: ["127.0.0.1", "127.0.0.1"],
  PORT: ["0", 0],
  SSL_PORT: ["9443", 9443],
  SSL_CERT: ["tls/a.crt", "/srv/tls/a.crt"],
  SSL_KEY: ["/tls/a.key", "/tls/a.key"],
  ALLOW_ORIGINS: ["https://a.example;https://*.b.example", ["https://a.example", "https://*.b.example"]],
  PAGE: ["no", false],
  TRUSTED_PROXIES: ["10.0.0.0/8", [{ network: { text: "10.0.0.0", family: 4 }, bits: 8 }]],
  AUTH: ["keys, mtls", ["keys", "mtls"]],
  API_KEYS_FILE: ["keys.json", "/srv/keys.json"],
  JWT_ISSUER: ["https://issuer.example", "https://issuer.example"],
  JWT_AUDIENCE: ["clamgate", "clamgate"],
  JWT_JWKS: ["https://issuer.example/keys", "https://issuer.example/keys"],
  JWT_DEFAULT_SCOPES: ["scan status", ["scan", "status"]],
  METRICS_AUTH: ["yes", true],
  SSL_CLIENT_CA: ["/tls/clients.pem", "/tls/clients.pem"],
  AUDIT: ["audit.jsonl", { kind: "file", path: "/srv/audit.jsonl" }],
  AUDIT_NAMES: ["hash", "hash"],
  AUDIT_REQUIRED: ["yes", true],
  CLAMD_PORT: ["tcp://clamd:3310", [{ kind: "tcp", host: "clamd", port: 3310 }]],
  CLAMD_SLOTS: ["20", 20],
  CLAMD_THREADS: ["4", 4],
  CLAMD_SHARERS: ["3", 3],
  CLAMD_SHARES_SPOOL: ["yes", true],
  GIVEN_CLAMD: ["STRICT", "strict"],
  GIVEN_VERDICT_TTL: ["1m", 60_000],
  GIVEN_EPOCH_FILE: [`/db/${canaryFileName}`, `/db/${canaryFileName}`],
  MAX_RECONNECT_TIME: ["0", 0],
  MAX_THREADS: ["8", 8],
  MAX_SCAN_SIZE: ["1G", G],
  MAX_FILE_SIZE: ["10M", 10 * M],
  MAX_RECURSION: ["100", 100],
  MAX_FILES: ["2147483647", 2_147_483_647],
  MAX_EMBEDDEDPE: ["0", 0],
  MAX_HTMLNORMALIZE: ["40M", 40 * M],
  MAX_HTMLNOTAGS: ["8M", 8 * M],
  MAX_SCRIPTNORMALIZE: ["20M", 20 * M],
  MAX_ZIPTYPERCG: ["512K", 512 * K],
  MAX_PARTITIONS: ["10", 10],
  MAX_ICONSPE: ["10", 10],
  PCRE_MATCHLIMIT: ["10000", 10_000],
  PCRE_RECMATCHLIMIT: ["5000", 5000],
  MAX_SCAN_TIME: ["120", 120_000],
  SIGNATURE_CHECKS: ["50", 50],
  PROXY_SERVER: ["http://proxy.example", "http://proxy.example"],
  PROXY_PORT: ["3128", 3128],
  PROXY_USERNAME: ["scanner", "scanner"],
  PROXY_PASSWORD: [" a=b ", " a=b "],
  DATABASE_DIRECTORY: ["/var/lib/clamav", "/var/lib/clamav"],
  DATABASE_MIRROR: ["https://mirror.example", "https://mirror.example"],
  DATABASE_CUSTOM_URLS: ["file:///a.ndb,https://b.example/b.ndb?x=1", ["file:///a.ndb", "https://b.example/b.ndb?x=1"]],
  FRESHCLAM_CONF: ["freshclam.conf", "/srv/freshclam.conf"],
  FIRST_FETCH_TIMEOUT: ["0", 0],
  MAX_DATABASE_AGE: ["48", 172_800_000],
  WARN_DATABASE_AGE: ["0", 0],
  STATE_DIRECTORY: ["data", "/srv/data"],
  SPOOL_DIRECTORY: ["/spool", "/spool"],
  SPOOL_MEMORY: ["0", 0],
  SPOOL_MEMORY_TOTAL: ["1G", G],
  SPOOL_MAX: ["25M", 25 * M],
  SCAN_PATH_ROOTS: ["/uploads:/shared/", ["/uploads", "/shared"]],
  SCAN_TIMEOUT: ["1500ms", 1500],
  QUEUE_TIMEOUT: ["1m", 60_000],
  QUEUE_MAX: ["0", 0],
  QUEUE_MAX_PER_CLIENT: ["200", 200],
  ON_UNSCANNABLE: ["allow:encrypted", new Set(["encrypted"] as const)],
  DOWNLOAD_PROXY_PORT: ["off", null],
  DOWNLOAD_PROXY_HOST: ["10.0.0.1", "10.0.0.1"],
  DOWNLOAD_ORIGINS: [
    "*.example.com",
    [
      {
        kind: "origin",
        schemes: ["http", "https"],
        host: { kind: "subdomains", domain: "example.com" },
        port: null,
        prefix: "/",
      },
    ],
  ],
  DOWNLOAD_REDIRECT_ORIGINS: ["any", [{ kind: "any" }]],
  DOWNLOAD_ALLOW_PRIVATE: [
    "10.0.0.0/8:8080",
    [{ kind: "range", range: { network: { text: "10.0.0.0", family: 4 }, bits: 8 }, port: 8080 }],
  ],
  DOWNLOAD_TRUSTED_PEERS: ["10.0.0.0/8", [{ network: { text: "10.0.0.0", family: 4 }, bits: 8 }]],
  DOWNLOAD_FORWARD_HEADERS: ["Cookie, X-Token", ["cookie", "x-token"]],
  DOWNLOAD_ROUTES: ["routes.json", "/srv/routes.json"],
  DOWNLOAD_MODE: ["drip", "trickle"],
  DOWNLOAD_TRICKLE_AFTER: ["5s", 5000],
  DOWNLOAD_TRICKLE_INTERVAL: ["500ms", 500],
  DOWNLOAD_TIMEOUT: ["0", 0],
  DOWNLOAD_IDLE_TIMEOUT: ["5s", 5000],
  DOWNLOAD_EXTRA_CA: ["ca.pem", "/srv/ca.pem"],
  DOWNLOAD_MAX: ["1", 1],
  DOWNLOAD_MAX_PER_ORIGIN: ["2", 2],
  DOWNLOAD_MAX_PER_CLIENT: ["3", 3],
  ICAP_PORT: ["1344", 1344],
  ICAP_SSL_PORT: ["0", 0],
  ICAP_CLIENT_CA: ["ca.pem", "/srv/ca.pem"],
  ICAP_CLIENTS: [
    "10.0.0.0/8, ::1",
    [
      { network: { text: "10.0.0.0", family: 4 }, bits: 8 },
      { network: { text: "::1", family: 6 }, bits: 128 },
    ],
  ],
  ICAP_SERVICES: ["avscan, a/b", ["avscan", "a/b"]],
  ICAP_PREVIEW: ["off", null],
  ICAP_MAX_CONNECTIONS: ["5", 5],
  ICAP_IDLE_TIMEOUT: ["1s", 1000],
  ICAP_MODE: ["TRICKLE", "trickle"],
  ICAP_TRICKLE_AFTER: ["1s", 1000],
  ICAP_TRICKLE_INTERVAL: ["2s", 2000],
  ICAP_ON_ERROR: [
    "status, a=reset,b=page",
    {
      forAll: "status",
      forPath: new Map([
        ["a", "reset"],
        ["b", "page"],
      ]),
    },
  ],
  UNSUPPORTED_FORMATS: ["zstd,RAR", ["zstd", "rar"]],
  VERDICT_CACHE: ["none", { kind: "none" }],
  VERDICT_TTL: ["7d", 604_800_000],
  VERDICT_CACHE_MAX: ["1", 1],
  CLIENT_HEAD_TIMEOUT: ["10", 10_000],
  CLIENT_IDLE_TIMEOUT: ["250ms", 250],
  CLIENT_MIN_RATE: ["4K", 4096],
  MAX_CONNECTIONS: ["500", 500],
  SHUTDOWN_GRACE: ["5s", 5000],
  SHUTDOWN_DELAY: ["10s", 10_000],
  LOG_LEVEL: ["DEBUG", "debug"],
  CLAMD_LISTEN: ["/run/a?on-error=found", [{ kind: "unix", path: "/run/a", mode: 0o660, onError: "found" }]],
  CLAMD_ALLOW_FROM: ["private", [{ kind: "private" }]],
  CLAMD_MAX_CONNECTIONS: ["5", 5],
  CLAMD_COMMAND_TIMEOUT: ["10s", 10_000],
  CLAMD_READ_TIMEOUT: ["1m", 60_000],
  LOG_FORMAT: ["json", "json"],
};

/** What the example needs beside it to pass the cross-checks. */
const companions: Partial<Record<keyof Config, Readonly<Record<string, string>>>> = {
  GIVEN_EPOCH_FILE: { CLAMD_PORT: "10.0.0.1:3310" },
  PROXY_PORT: { PROXY_SERVER: "proxy.example" },
  PROXY_USERNAME: { PROXY_SERVER: "proxy.example", PROXY_PASSWORD: "x" },
  PROXY_PASSWORD: { PROXY_SERVER: "proxy.example" },
  AUTH: { API_KEYS_FILE: "/k.json", SSL_CLIENT_CA: "/ca.pem", SSL_PORT: "9443" },
  API_KEYS_FILE: { AUTH: "keys" },
  JWT_ISSUER: { AUTH: "jwt", JWT_AUDIENCE: "a", JWT_JWKS: "https://i/" },
  JWT_AUDIENCE: { AUTH: "jwt", JWT_ISSUER: "i", JWT_JWKS: "https://i/" },
  JWT_JWKS: { AUTH: "jwt", JWT_ISSUER: "i", JWT_AUDIENCE: "a" },
  METRICS_AUTH: { AUTH: "keys", API_KEYS_FILE: "/k.json" },
  SSL_CLIENT_CA: { AUTH: "mtls", API_KEYS_FILE: "/k.json", SSL_PORT: "9443" },
  AUDIT_REQUIRED: { AUDIT: "stdout" },
};

describe("settings", () => {
  test("have the defaults of clamav-rest where it has the setting", () => {
    assert.deepEqual(readConfig({}, { cwd: "/srv", cores: 4 }), { kind: "config", config: defaults, warnings: [] });
  });

  test("reach the Config each under its own name, and change nothing else that is not derived from them", () => {
    const follows: Partial<Record<keyof Config, Partial<Config>>> = {
      MAX_SCAN_TIME: { SCAN_TIMEOUT: 150_000 },
      STATE_DIRECTORY: {
        DATABASE_DIRECTORY: "/srv/data/signatures",
        SPOOL_DIRECTORY: "/srv/data/spool",
        VERDICT_CACHE: { kind: "sqlite", path: "/srv/data/verdicts.sqlite" },
      },
      GIVEN_EPOCH_FILE: { CLAMD_PORT: [{ kind: "tcp", host: "10.0.0.1", port: 3310 }] },
      PROXY_PORT: { PROXY_SERVER: "proxy.example" },
      PROXY_USERNAME: { PROXY_SERVER: "proxy.example", PROXY_PASSWORD: "x" },
      PROXY_PASSWORD: { PROXY_SERVER: "proxy.example" },
      AUTH: { API_KEYS_FILE: "/k.json", SSL_CLIENT_CA: "/ca.pem", SSL_PORT: 9443 },
      API_KEYS_FILE: { AUTH: ["keys"] },
      JWT_ISSUER: { AUTH: ["jwt"], JWT_AUDIENCE: "a", JWT_JWKS: "https://i/" },
      JWT_AUDIENCE: { AUTH: ["jwt"], JWT_ISSUER: "i", JWT_JWKS: "https://i/" },
      JWT_JWKS: { AUTH: ["jwt"], JWT_ISSUER: "i", JWT_AUDIENCE: "a" },
      METRICS_AUTH: { AUTH: ["keys"], API_KEYS_FILE: "/k.json" },
      SSL_CLIENT_CA: { AUTH: ["mtls"], API_KEYS_FILE: "/k.json", SSL_PORT: 9443 },
      AUDIT_REQUIRED: { AUDIT: { kind: "stdout" } },
    };
    for (const { name } of settings) {
      const [text, value] = examples[name];
      const reading = readConfig({ ...companions[name], [name]: text }, { cwd: "/srv", cores: 4 });
      assert.deepEqual(reading, { kind: "config", config: { ...defaults, ...follows[name], [name]: value }, warnings: [] }, name);
      assert.notDeepEqual(value, defaults[name], `${name}: the example is the default`);
    }
  });

  test("have no two entries of one name, and none without a word of help", () => {
    assert.equal(new Set(settings.map(({ name }) => name)).size, settings.length);
    for (const { name, help, parser } of settings) {
      assert.match(name, /^[A-Z][A-Z_]*$/);
      assert.match(help, /^[A-Z`].*\.$/, name);
      assert.notEqual(parser.allowed, "", name);
    }
  });

  test("take `archives` for every format that nobody opens, each once, beside single names", () => {
    const reading = readConfig({ UNSUPPORTED_FORMATS: "zstd,Archives,xz" }, { cwd: "/srv", cores: 4 });
    const formats = reading.kind === "config" ? reading.config.UNSUPPORTED_FORMATS : reading.faults;
    assert.deepEqual(formats.toSorted(), [...archiveFormats, "xz", "zstd"].toSorted());
  });

  test("leave no group empty", () => {
    assert.deepEqual([...new Set(settings.map(({ group }) => group))], [...groups]);
  });

  test("derive a thread for each core, two at least and no more than may be set", () => {
    const threads = [0, 1, 2, 3, 96, 1000].map((cores) => {
      const reading = readConfig({}, { cwd: "/srv", cores });
      return reading.kind === "config" ? reading.config.MAX_THREADS : reading.faults;
    });
    assert.deepEqual(threads, [2, 2, 2, 3, 96, 256]);
  });
});
