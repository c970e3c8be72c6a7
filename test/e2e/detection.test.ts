import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeCertificate } from "./certificate.ts";
import { form, http1, http2, type Post } from "./client.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { clamavTestFiles, eicar, type Sample, unknownBytes } from "./samples.ts";

describe("the gateway with a real clamd", () => {
  let gateway: GatewayProcess;
  let directory: string;
  let samples: readonly Sample[];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "clamgate-tls-"));
    const { cert, key } = await makeCertificate(directory);
    gateway = await startGatewayProcess({ env: { SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key } });
    await gateway.ready();
    samples = [...(await clamavTestFiles()), eicar];
    assert.equal(samples.length, 45);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const plain = () => gateway.url;
  const secure = () => gateway.urls[1] ?? assert.fail("no TLS port");
  const protocols: readonly { name: string; base: () => string; post: Post; version: string }[] = [
    { name: "HTTP/1.1", base: plain, post: http1, version: "1.1" },
    { name: "h2c", base: plain, post: http2, version: "2" },
    { name: "HTTP/1.1 over TLS", base: secure, post: http1, version: "1.1" },
    { name: "h2 over TLS", base: secure, post: http2, version: "2" },
  ];

  for (const { name, base, post, version } of protocols) {
    test(`finds the 44 test files and EICAR by /v2/scan over ${name}`, async () => {
      for (const sample of samples) {
        const { body, contentType } = form(sample);
        const answer = await post(`${base()}/v2/scan`, body, contentType);
        assert.equal(answer.status, 406, sample.name);
        assert.equal(answer.httpVersion, version);
        const [result] = JSON.parse(answer.body);
        assert.equal(result.Status, "FOUND", sample.name);
        assert.match(result.Description, sample === eicar ? /eicar/i : /ClamAV-Test-File/i, sample.name);
        assert.equal(result.FileName, sample.name);
      }
    });

    test(`finds them by /scan and /scanHandlerBody over ${name}`, async () => {
      for (const sample of samples) {
        const { body, contentType } = form(sample);
        const old = await post(`${base()}/scan`, body, contentType);
        assert.equal(old.status, 406, sample.name);
        assert.match(old.body, /^\{"Status":"FOUND","Description":"[^"]+"\}$/);
        const raw = await post(`${base()}/scanHandlerBody`, sample.bytes, "application/octet-stream");
        assert.equal(raw.status, 406, sample.name);
        assert.match(raw.body, /^\{FOUND \S+ {2}406\}$/);
      }
    });

    test(`calls what nobody knows clean over ${name}`, async () => {
      for (const size of [0, 1, 1024, 3 * 1024 * 1024]) {
        const sample = unknownBytes(size);
        const { body, contentType } = form(sample);
        const answer = await post(`${base()}/v2/scan`, body, contentType);
        assert.equal(answer.status, 200, `${size} bytes: ${answer.body}`);
        assert.equal(answer.body, `[{"Status":"OK","Description":"","FileName":"${sample.name}"}]`);
        const raw = await post(`${base()}/scanHandlerBody`, sample.bytes, "text/plain");
        assert.equal(`${raw.status} ${raw.body}`, "200 {OK   200}");
      }
    });
  }

  test("marks every answer as made with test signatures, and says degraded", async () => {
    const answer = await fetch(`${gateway.url}/readyz`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-clamgate-signatures"), "test-only");
    assert.match(await answer.text(), /^\{"status":"degraded"/);
  });

  test("answers exactly at the size limit, and refuses one byte more", async () => {
    const limit = 25 * 1024 * 1024;
    const { bytes } = unknownBytes(limit + 1);
    for (const [size, status] of [
      [limit - 1, 200],
      [limit, 200],
      [limit + 1, 413],
    ] as const) {
      const raw = await http1(`${gateway.url}/scanHandlerBody`, bytes.subarray(0, size), "application/octet-stream");
      assert.equal(raw.status, status, `${size} bytes: ${raw.body}`);
    }
  });
});
