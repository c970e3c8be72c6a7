/** Whoever runs clamav-rest's image changes its name and nothing else: what people set there starts this one. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Environment, readConfig } from "../../src/config/read-config.ts";
import { imageEnvironment } from "./image.ts";

interface Combination {
  readonly from: string;
  readonly set: Environment;
  /** Each warning that it deserves, in order; none where nothing is run otherwise than it was set. */
  readonly warns?: readonly RegExp[];
}

const scanRaised = (to: string) => new RegExp(`^MAX_SCAN_SIZE=\\w+ is run as ${to}, to hold MAX_FILE_SIZE=${to}\\.$`);
const fileLowered = /^MAX_FILE_SIZE=\w+ is run as 2047M, .+; MAX_SCAN_SIZE=\w+ is run as 2047M, to hold MAX_FILE_SIZE=2047M\.$/;
const scanLowered = /^MAX_SCAN_SIZE=\w+ is run as 2047M, beyond which clamd says OK to what it has not scanned\.$/;

/** The image's own: its Dockerfile, its README's table, its Compose files and its Kubernetes example. */
const documented: readonly Combination[] = [
  {
    from: "the image's ENV as it stands",
    set: {
      TZ: "Europe/Zurich",
      PORT: "9000",
      SSL_PORT: "9443",
      MAX_SCAN_SIZE: "100M",
      MAX_FILE_SIZE: "25M",
      MAX_RECURSION: "16",
      MAX_FILES: "10000",
      MAX_EMBEDDEDPE: "10M",
      MAX_HTMLNORMALIZE: "10M",
      MAX_HTMLNOTAGS: "2M",
      MAX_SCRIPTNORMALIZE: "5M",
      MAX_ZIPTYPERCG: "1M",
      MAX_PARTITIONS: "50",
      MAX_ICONSPE: "100",
      MAX_RECONNECT_TIME: "30",
      PCRE_MATCHLIMIT: "100000",
      PCRE_RECMATCHLIMIT: "2000",
      SIGNATURE_CHECKS: "2",
      ALLOW_ORIGINS: "*",
    },
  },
  { from: "docker run and the Compose files: nothing set", set: {} },
  { from: "the Kubernetes example", set: { MAX_FILE_SIZE: "100M" } },
  { from: "the older image, which looked for signatures hourly", set: { SIGNATURE_CHECKS: "24" } },
  { from: "a proxy", set: { PROXY_SERVER: "proxy.example.internal", PROXY_PORT: "3128" } },
  {
    from: "a proxy with a password",
    set: { PROXY_SERVER: "http://proxy.example", PROXY_PORT: "8080", PROXY_USERNAME: "av", PROXY_PASSWORD: "p&~ss=1" },
  },
  {
    from: "certificates of one's own",
    set: { SSL_CERT: "/etc/ssl/clamav-rest/tls.crt", SSL_KEY: "/etc/ssl/clamav-rest/tls.key" },
  },
  { from: "same origins only", set: { ALLOW_ORIGINS: "" } },
  { from: "a list of origins", set: { ALLOW_ORIGINS: "https://app.example;https://*.example.org" } },
  { from: "the variable in lower case, as the code reads it", set: { allow_origins: "https://app.example" } },
];

const reallyUsed: readonly Combination[] = [
  { from: "the file's limit alone, as everybody begins", set: { MAX_FILE_SIZE: "200M" }, warns: [scanRaised("200M")] },
  { from: "the file's limit just above the scan's", set: { MAX_FILE_SIZE: "101M" }, warns: [scanRaised("101M")] },
  { from: "the scan's limit alone", set: { MAX_SCAN_SIZE: "10M" }, warns: [scanRaised("25M")] },
  { from: "an upload form for small files", set: { MAX_SCAN_SIZE: "10M", MAX_FILE_SIZE: "10M" } },
  {
    from: "small files, with the scan's limit too small",
    set: { MAX_SCAN_SIZE: "5M", MAX_FILE_SIZE: "10M" },
    warns: [scanRaised("10M")],
  },
  { from: "both limits equal", set: { MAX_SCAN_SIZE: "250M", MAX_FILE_SIZE: "250M" } },
  { from: "both limits equal at 2000M, as for a file share", set: { MAX_SCAN_SIZE: "2000M", MAX_FILE_SIZE: "2000M" } },
  {
    from: "the file's limit larger, so that entries of archives are not cut",
    set: { MAX_SCAN_SIZE: "1G", MAX_FILE_SIZE: "2000M", MAX_RECURSION: "17", MAX_FILES: "10000" },
    warns: [scanRaised("2000M")],
  },
  {
    from: "a bot that takes documents",
    set: { MAX_SCAN_SIZE: "100M", MAX_FILE_SIZE: "25M", SIGNATURE_CHECKS: "2", TZ: "America/Argentina/Buenos_Aires" },
  },
  { from: "bytes in place of megabytes", set: { MAX_FILE_SIZE: "52428800", MAX_SCAN_SIZE: "104857600" } },
  { from: "small letters", set: { MAX_FILE_SIZE: "50m", MAX_SCAN_SIZE: "200m" } },
  { from: "kilobytes", set: { MAX_FILE_SIZE: "20480K" } },
  { from: "no limit of a file", set: { MAX_FILE_SIZE: "0" }, warns: [fileLowered] },
  {
    from: "no limit of anything",
    set: { MAX_FILE_SIZE: "0", MAX_SCAN_SIZE: "0", MAX_FILES: "0", MAX_RECURSION: "0" },
    warns: [/MAX_FILE_SIZE=0 .*; MAX_SCAN_SIZE=0 is run as 2047M/, /^MAX_RECURSION=0 is run as 17:/],
  },
  { from: "no limit of a scan", set: { MAX_SCAN_SIZE: "0", MAX_FILE_SIZE: "500M" }, warns: [scanLowered] },
  {
    from: "the largest file that is heard of",
    set: { MAX_FILE_SIZE: "2G", MAX_SCAN_SIZE: "2G" },
    warns: [/MAX_FILE_SIZE=2G is run as 2047M/],
  },
  {
    from: "disk images",
    set: { MAX_FILE_SIZE: "4G", MAX_SCAN_SIZE: "4G" },
    warns: [/MAX_FILE_SIZE=4G .*; MAX_SCAN_SIZE=4G is run as 2047M/],
  },
  { from: "large archives of small files", set: { MAX_FILE_SIZE: "1G", MAX_SCAN_SIZE: "5G" }, warns: [scanLowered] },
  {
    from: "4000M, as some limits of clamd's own documents",
    set: { MAX_SCAN_SIZE: "4000M", MAX_FILE_SIZE: "2000M" },
    warns: [scanLowered],
  },
  {
    from: "the limits of another image of the kind",
    set: {
      MAX_RECURSION: "10",
      MAX_FILES: "15000",
      MAX_PARTITIONS: "128",
      MAX_ICONSPE: "200",
      PCRE_MATCHLIMIT: "10000",
      PCRE_RECMATCHLIMIT: "10000",
    },
  },
  {
    from: "many files, and deep",
    set: { MAX_FILES: "50000", MAX_RECURSION: "30", MAX_FILE_SIZE: "100M", MAX_SCAN_SIZE: "300M" },
  },
  { from: "deeper than a newer clamd goes", set: { MAX_RECURSION: "200" }, warns: [/^MAX_RECURSION=200 is run as 100:/] },
  {
    from: "the inner limits as large as files are",
    set: {
      MAX_FILE_SIZE: "100M",
      MAX_EMBEDDEDPE: "100M",
      MAX_HTMLNORMALIZE: "100M",
      MAX_HTMLNOTAGS: "100M",
      MAX_SCRIPTNORMALIZE: "100M",
      MAX_ZIPTYPERCG: "100M",
    },
  },
  {
    from: "the inner limits off",
    set: { MAX_EMBEDDEDPE: "0", MAX_HTMLNORMALIZE: "0", MAX_HTMLNOTAGS: "0", MAX_SCRIPTNORMALIZE: "0", MAX_ZIPTYPERCG: "4G" },
  },
  {
    from: "quotes that a list in a Compose file or an env file keeps",
    set: {
      CLAMD_PORT: '"tcp://localhost:3310"',
      MAX_SCAN_SIZE: '"100M"',
      MAX_FILE_SIZE: '"25M"',
      MAX_RECURSION: '"16"',
      PCRE_MATCHLIMIT: '"100000"',
    },
  },
  { from: "an env file of another system", set: { MAX_FILE_SIZE: "50M\r", MAX_SCAN_SIZE: "200M\r", SIGNATURE_CHECKS: "12\r" } },
  {
    from: "a template with nothing to fill in",
    set: { MAX_FILE_SIZE: "", MAX_SCAN_SIZE: "", PROXY_SERVER: "", PROXY_PORT: "", PROXY_USERNAME: "", PROXY_PASSWORD: "" },
  },
  {
    from: "a template whose proxy is filled in half",
    set: { PROXY_SERVER: "", PROXY_PORT: "3128", PROXY_USERNAME: "av" },
    warns: [/^PROXY_PORT, PROXY_USERNAME are ignored without PROXY_SERVER\.$/],
  },
  {
    from: "a cluster that has a service called proxy",
    set: { PROXY_PORT: "tcp://10.96.12.7:3128", PROXY_SERVICE_HOST: "10.96.12.7", PROXY_PORT_3128_TCP: "tcp://10.96.12.7:3128" },
    warns: [/^PROXY_PORT is ignored without PROXY_SERVER\.$/],
  },
  {
    from: "a cluster that has a service called clamd",
    set: { CLAMD_PORT: "tcp://10.96.12.8:3310", CLAMD_SERVICE_HOST: "10.96.12.8" },
  },
  { from: "a platform that chooses the port", set: { PORT: "8080" }, warns: [/^The download proxy is off: PORT=8080 /] },
  { from: "one port for TLS and the other", set: { PORT: "9443" } },
  { from: "no TLS", set: { SSL_PORT: "" } },
  { from: "origins between commas", set: { ALLOW_ORIGINS: "https://a.example,https://b.example" } },
  { from: "origins between commas and spaces", set: { ALLOW_ORIGINS: "http://localhost:3000, http://localhost:8000" } },
  { from: "signatures every quarter of an hour", set: { SIGNATURE_CHECKS: "96" }, warns: [/^SIGNATURE_CHECKS=96 is run as 50,/] },
  { from: "no signatures from outside", set: { SIGNATURE_CHECKS: "0" } },
  { from: "a slow machine", set: { MAX_RECONNECT_TIME: "120", MAX_FILE_SIZE: "60M" } },
];

describe("settings of clamav-rest's image", () => {
  for (const { from, set, warns = [] } of [...documented, ...reallyUsed]) {
    test(`start this one: ${from}`, () => {
      const reading = readConfig({ ...imageEnvironment(), ...set }, { cwd: "/opt/clamgate", cores: 4 });
      if (reading.kind === "faults") assert.fail(reading.faults.join("\n"));
      const { config, warnings } = reading;
      assert.equal(warnings.length, warns.length, warnings.join("\n"));
      for (const [index, warning] of warns.entries()) assert.match(warnings[index] ?? "", warning);
      if (config.CLAMD_PORT === null) assert.ok(config.MAX_FILE_SIZE <= config.MAX_SCAN_SIZE);
    });
  }

  test("are read as they are meant where they are many in one", () => {
    const origins = (text: string) => {
      const reading = readConfig({ ALLOW_ORIGINS: text }, { cwd: "/", cores: 4 });
      return reading.kind === "config" ? reading.config.ALLOW_ORIGINS : reading.faults;
    };
    for (const separator of [";", ",", " ", "; ", ", ", ",\n"])
      assert.deepEqual(origins(`https://a.example${separator}https://*.b.example`), ["https://a.example", "https://*.b.example"]);
  });
});
