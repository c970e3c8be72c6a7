import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { scratchDirectory } from "../../scratch-directory.ts";
import { makeCertificate } from "../certificate.ts";
import { startGatewayProcess } from "../gateway-process.ts";

describe("the TLS certificate", { concurrency: true }, () => {
  test("is taken up anew when its files change, and a broken one leaves the old in place", async () => {
    const directory = await mkdtemp(join(tmpdir(), "clamgate-tls-"));
    const { cert, key } = await makeCertificate(directory, "first");
    const gateway = await startGatewayProcess({ env: { SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key } });
    try {
      const port = Number(new URL(gateway.urls[1] ?? "").port);
      assert.equal(await commonName(port), "first");
      await makeCertificate(directory, "second");
      await gateway.line("the TLS certificate was renewed");
      assert.equal(await commonName(port), "second");
      await writeFile(cert, "no certificate");
      await gateway.line("could not be renewed");
      assert.equal(await commonName(port), "second");
    } finally {
      await gateway[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    }
  });

  test("that is missing leaves TLS out; one that is broken ends the start with 1", async () => {
    const without = await startGatewayProcess({
      env: { SSL_PORT: "0", SSL_CERT: "/nonexistent/a.crt", SSL_KEY: "/nonexistent/a.key" },
    });
    assert.equal(without.urls.length, 1);
    await without.line("TLS is off");
    await without[Symbol.asyncDispose]();

    await using directory = await scratchDirectory();
    const { key } = await makeCertificate(directory.path);
    const cert = directory.at("broken.crt");
    await writeFile(cert, "no certificate");
    await assert.rejects(startGatewayProcess({ env: { SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key } }), /ended with 1/);
  });
});

function commonName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      resolve(String(CN));
    });
    socket.on("error", reject);
  });
}
