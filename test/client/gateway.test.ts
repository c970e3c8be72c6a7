import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { createScanner, ScanError } from "../../client/src/index.ts";
import { startRest } from "../front/rest/rest-server.ts";
import { listening } from "../listening.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const failsWith = (code: ScanError["code"]) => (error: unknown) => {
  assert.ok(error instanceof ScanError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

async function startServer(handler: RequestListener): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(handler);
  const port = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("a scanner on a gateway", () => {
  test("reports what is clean, infected and unscannable", async () => {
    await using gateway = await startRest();
    await using scanner = createScanner(gateway.url);
    const clean = await scanner.scan(bytes("harmless"), { name: "a b/ü.txt" });
    assert.deepEqual([clean.allowed, clean.size, clean.name], [true, 8, "ü.txt"]);
    assert.equal(clean.sha256, createHash("sha256").update("harmless").digest("hex"));
    const infected = await scanner.scan(bytes("virus:A.Virus"));
    assert.deepEqual([infected.allowed, infected.verdict], [false, { kind: "infected", signatures: ["A.Virus"] }]);
    const locked = bytes("unscannable:encrypted:Heuristics.Encrypted.Zip");
    assert.equal((await scanner.scan(locked)).allowed, false);
    await using lax = createScanner(gateway.url, { onUnscannable: ["encrypted"] });
    assert.equal((await lax.scan(locked)).allowedBy, "policy");
  });

  test("sends streams as they come, and each body only once", async () => {
    await using gateway = await startRest();
    await using scanner = createScanner(gateway.url);
    const report = await scanner.scan(Readable.from([Buffer.from("one "), Buffer.from("two")]));
    assert.equal(report.size, 7);
    await assert.rejects(scanner.scan(Readable.from([Buffer.from("error:queue-full")])), failsWith("unavailable"));
    assert.equal(gateway.fake.calls.length, 2);
  });

  test("tells why there is no verdict, and when to try again", async () => {
    await using gateway = await startRest();
    await using scanner = createScanner(gateway.url, { retries: 0 });
    await assert.rejects(scanner.scan(bytes("error:queue-full")), (error: ScanError) => {
      assert.deepEqual([error.code, error.retryAfterMs], ["unavailable", 7_000]);
      return true;
    });
    await assert.rejects(scanner.scan(bytes("x".repeat(100_001))), failsWith("too-large"));
    await assert.rejects(scanner.scan(Readable.from([Buffer.alloc(100_001)])), failsWith("too-large"));
  });

  test("scans the files of a form, each with its own report", async () => {
    await using gateway = await startRest();
    await using scanner = createScanner(gateway.url);
    const form = new FormData();
    form.append("text", "a field");
    form.append("one", new File(["harmless"], "one.txt"));
    form.append("two", new File(["virus:A.Virus"], "two.txt"));
    const reports = await scanner.scanForm(form);
    const told = reports.map((each) => [each.field, each.name, "report" in each && each.report.allowed]);
    assert.deepEqual(told, [
      ["one", "one.txt", true],
      ["two", "two.txt", false],
    ]);
  });

  test("looks a digest up; what is not known is null, not clean", async () => {
    await using gateway = await startRest({
      front: {
        knownVerdict: async (sha256: string) =>
          sha256.startsWith("a") ? { verdict: { kind: "clean" }, decision: { isAllowed: true, relaxedFor: null } } : null,
      },
    });
    await using scanner = createScanner(gateway.url);
    assert.equal((await scanner.lookup("A".repeat(64)))?.allowed, true);
    assert.equal(await scanner.lookup("b".repeat(64)), null);
    assert.equal((await scanner.status()).slots?.total, 10);
  });

  test("believes no answer that contradicts itself, or is none", async () => {
    const report = {
      allowed: true,
      allowedBy: "clean",
      verdict: { kind: "clean" },
      name: null,
      type: null,
      size: 1,
      sha256: "a".repeat(64),
      engine: { engine: "1", database: 1, databaseTime: null, tag: "t", testOnly: false },
      cached: false,
      elapsedMs: 1,
    };
    const answers: [status: number, body: string][] = [
      [406, JSON.stringify(report)],
      [200, JSON.stringify({ ...report, allowed: false, allowedBy: null })],
      [200, JSON.stringify({ ...report, verdict: { kind: "infected", signatures: ["A"] } })],
      [200, JSON.stringify({ ...report, verdict: { kind: "unknown" } })],
      [200, "{}"],
      [200, "null"],
      [200, "OK"],
      [200, ""],
      [204, ""],
      [200, JSON.stringify(report).slice(0, -1)],
    ];
    for (const [status, body] of answers) {
      await using server = await startServer((request, response) => {
        request.resume().once("end", () => response.writeHead(status, { "content-type": "application/json" }).end(body));
      });
      await assert.rejects(createScanner(server.url).scan(bytes("x")), failsWith("protocol"), `${status} ${body}`);
    }
  });

  test("takes another server's 404 for neither clean nor unknown", async () => {
    await using server = await startServer((request, response) => {
      request.resume().once("end", () => response.writeHead(404).end("not here"));
    });
    const scanner = createScanner(server.url);
    await assert.rejects(scanner.scan(bytes("x")), failsWith("unsupported"));
    await assert.rejects(scanner.lookup("a".repeat(64)), failsWith("unsupported"));
  });

  test("follows no redirect, which would take body and key elsewhere", async () => {
    await using other = await startRest();
    await using server = await startServer((request, response) => {
      request.resume().once("end", () => response.writeHead(307, { location: `${other.url}/v3/scan` }).end());
    });
    await assert.rejects(createScanner(server.url, { retries: 0 }).scan(bytes("x")), ScanError);
    assert.equal(other.fake.calls.length, 0);
  });

  test("sends its key as a bearer token, asked for each time", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await startServer((request, response) => {
      seen.push(request.headers.authorization);
      request.resume().once("end", () => response.writeHead(401, { "content-type": "application/problem+json" }).end("{}"));
    });
    await assert.rejects(createScanner(server.url, { apiKey: "k1" }).scan(bytes("x")), failsWith("unauthenticated"));
    const asked = createScanner(server.url, { apiKey: async () => `k${seen.length + 1}` });
    await assert.rejects(asked.scan(bytes("x")), failsWith("unauthenticated"));
    assert.deepEqual(seen, ["Bearer k1", "Bearer k2"]);
  });

  test("ends by time where the gateway is silent, and by its closing", async () => {
    await using server = await startServer((request) => void request.resume());
    await assert.rejects(createScanner(server.url, { timeoutMs: 200 }).scan(bytes("x")), failsWith("timeout"));
    const scanner = createScanner(server.url);
    const scanned = scanner.scan(bytes("x"));
    setTimeout(() => void scanner[Symbol.asyncDispose](), 50);
    await assert.rejects(scanned, failsWith("aborted"));
  });

  test("tries again after 503, and gives up where it is to wait too long", async () => {
    let asked = 0;
    await using server = await startServer((request, response) => {
      asked += 1;
      const headers = { "content-type": "application/problem+json", "retry-after": asked === 1 ? "0" : "3600" };
      request.resume().once("end", () => response.writeHead(503, headers).end("{}"));
    });
    await assert.rejects(createScanner(server.url, { retries: 5 }).scan(bytes("x")), failsWith("unavailable"));
    assert.equal(asked, 2);
  });
});
