/** B7: addresses that would lead the download proxy elsewhere. One origin is allowed, and a witness beside it must never be called. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Campaign, campaign } from "./harness/campaign.ts";
import { mutated } from "./harness/mutated.ts";
import { sendRaw } from "./harness/raw-answers.ts";

export interface UrlTarget {
  readonly proxyPort: number;
  /** Of the only origin that is allowed, on 127.0.0.1. */
  readonly originPort: number;
  /** Of a listener on 127.0.0.1 that no download may reach. */
  readonly witnessPort: number;
  /** Connections that the witness has seen. */
  readonly witnessed: () => number;
}

/** Names are left out on purpose: nothing here may ask a resolver. */
const hosts = [
  "127.0.0.1",
  "127.1",
  "2130706433",
  "0x7f.1",
  "0177.0.0.1",
  "0",
  "[::1]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "127.0.0.1.",
  "\uff11\uff12\uff17.0.0.1",
  "169.254.169.254",
  "[fd00:ec2::254]",
  "10.0.0.1",
  "[::]",
  "0.0.0.0",
  "localhost",
  "127.0.0.1%00",
  "[::1%25lo]",
];
const schemes = [
  "http://",
  "https://",
  "HTTP://",
  "http:",
  "http:/",
  "http:\\\\",
  "file://",
  "gopher://",
  "ftp://",
  "unix:",
  "data:,",
  "//",
  "",
  "javascript:",
];
const userinfos = ["", "user@", "user:pass@", "127.0.0.1@", "a%40b@", "127.0.0.1:{o}@", "\t"];
const tails = ["/", "", "/x", "/?q", "/#f", "/..", "/%2e%2e/", "\\@127.0.0.1:{w}/", "/\t", "/a b"];
const paths = [
  "/",
  "//127.0.0.1:{w}/x",
  "/http://127.0.0.1:{w}/x",
  "/..//127.0.0.1:{w}",
  "/\\\\127.0.0.1:{w}/",
  "/%2f%2f127.0.0.1:{w}/",
  "/x?u=http://127.0.0.1:{w}/",
  "/@127.0.0.1:{w}/",
  "/:{w}/",
  "/.{w}",
  "/a/../../b",
  "http://127.0.0.1:{w}/",
  "*",
  "127.0.0.1:{w}",
];

export function downloadUrls({ proxyPort, originPort, witnessPort, witnessed }: UrlTarget): Campaign {
  // Else a smaller counterexample would be blamed for the calls of the one before it.
  let known = 0;
  const fill = (text: string) => text.replaceAll("{w}", String(witnessPort)).replaceAll("{o}", String(originPort));
  const from = fc
    .record({
      scheme: fc.constantFrom(...schemes),
      userinfo: fc.constantFrom(...userinfos),
      host: fc.constantFrom(...hosts),
      port: fc.constantFrom("{w}", "{w}", "{o}", "22", "", "0{w}", "99999"),
      tail: fc.constantFrom(...tails),
    })
    .map(({ scheme, userinfo, host, port, tail }) => fill(`${scheme}${userinfo}${host}${port === "" ? "" : `:${port}`}${tail}`));
  const allowed = `http://127.0.0.1:${originPort}/`;
  const request = fc
    .record({
      from: fc.oneof(from, fc.constant(allowed)),
      path: fc.constantFrom(...paths),
      method: fc.constantFrom("GET", "HEAD"),
    })
    .map((parts) => requestOf(parts.from, fill(parts.path), parts.method));
  return campaign({
    name: "addresses of downloads (B7)",
    testRuns: 150,
    arbitrary: fc.oneof({ weight: 4, arbitrary: request }, { weight: 1, arbitrary: mutated(request) }),
    corpus: hosts.flatMap((host) => [
      requestOf(fill(`http://${host}:{w}/`), "/x", "GET"),
      requestOf(allowed, fill(`//${host}:{w}/x`), "GET"),
    ]),
    // A path that the origin has nothing for: its 404 shows that the allowed one is asked.
    least: { "answered by the origin": 0.1 },
    async check(bytes, note) {
      const { answers } = await sendRaw(proxyPort, bytes, { maxMs: 1_000, quietMs: 20 });
      const text = JSON.stringify(bytes.toString("latin1"));
      const called = witnessed() - known;
      known += called;
      assert.equal(called, 0, `the witness was called by ${text}`);
      if (answers.some(({ status }) => status === 404)) note("answered by the origin");
      for (const { status, body } of answers) {
        assert.notEqual(status, 500, text);
        assert.ok(!body.includes("witness"), text);
      }
    },
  });
}

function requestOf(from: string, path: string, method: string): Buffer {
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: x\r\nDownload-From: ${from}\r\nConnection: close\r\n\r\n`);
}
