/** The library on each kind of address that it takes: the same bodies, the same verdicts. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { createScanner, ScanError, type ScannerOptions } from "../../client/src/index.ts";
import { makeCertificate } from "../e2e/certificate.ts";
import { startRest } from "../front/rest/rest-server.ts";
import { suiteDirectory } from "../scratch-directory.ts";
import { type ClamdScript, startScriptedClamd } from "./scripted-clamd.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("a scanner", () => {
  const directory = suiteDirectory();
  let tls: { readonly cert: Buffer; readonly key: Buffer };
  before(async () => {
    const { cert, key } = await makeCertificate(directory.path);
    tls = { cert: await readFile(cert), key: await readFile(key) };
  });

  async function verdicts(url: string, options: ScannerOptions = {}): Promise<readonly string[]> {
    await using scanner = createScanner(url, { retries: 0, ...options });
    const reports = await Promise.all(["harmless", "virus:A.Virus", ""].map((text) => scanner.scan(bytes(text))));
    return reports.map(({ verdict }) => (verdict.kind === "infected" ? verdict.signatures.join() : verdict.kind));
  }

  async function ofClamd(script: ClamdScript, options: () => ScannerOptions = () => ({})): Promise<readonly string[]> {
    await using clamd = await startScriptedClamd(script);
    return await verdicts(clamd.url, options());
  }

  const expected = ["clean", "A.Virus", "clean"];

  test("asks a clamd by tcp, by a Unix socket with a blank in its path, and by tls", async () => {
    assert.deepEqual(await ofClamd({}), expected);
    assert.deepEqual(await ofClamd({ path: directory.at("a clamd.ctl") }), expected);
    assert.deepEqual(await ofClamd({ tls }, () => ({ tls: { ca: tls.cert } })), expected);
  });

  test("asks a gateway by http", async () => {
    await using gateway = await startRest();
    assert.deepEqual(await verdicts(gateway.url), expected);
  });

  test("sends no body to a clamd whose certificate nobody vouches for", async () => {
    await assert.rejects(ofClamd({ tls }), (error) => {
      assert.ok(error instanceof ScanError && error.code === "connection" && /self-signed/.test(error.message), String(error));
      return true;
    });
  });

  test("is not disturbed by a signal that is aborted after its scan", async () => {
    await using clamd = await startScriptedClamd();
    await using scanner = createScanner(clamd.url);
    const aborter = new AbortController();
    const report = await scanner.scan(bytes("harmless"), { signal: aborter.signal });
    aborter.abort();
    assert.equal(report.allowed, true);
    assert.equal((await scanner.scan(bytes("harmless"))).allowed, true);
    while (clamd.open() > 0) await new Promise(setImmediate);
  });
});
