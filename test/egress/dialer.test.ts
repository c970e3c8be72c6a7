import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { end, head, ok, redirect, reset, stall, startFakeOrigin } from "../fake/origin.ts";
import { bytesOf, drain, type Given, loopback, recordedUpstream } from "../front/proxy/recorded-upstream.ts";
import { failsWith } from "../front/proxy/refusing.ts";
import { scratchDirectory } from "../scratch-directory.ts";

const names = { "origin.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]] } as const;

describe("TLS to an origin (P30)", () => {
  let tls = { cert: "", key: "" };
  before(async () => {
    await using directory = await scratchDirectory();
    const [cert, key] = [directory.at("crt"), directory.at("key")];
    const subject = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:origin.example,IP:127.0.0.1"];
    const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    await promisify(execFile)("openssl", [...kind, ...subject, "-keyout", key, "-out", cert]);
    tls = { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") };
  });
  const trusting = (given: Given = {}) => recordedUpstream({ allowPrivate: loopback, names, extraCa: tls.cert, ...given });

  test("fetches by name and by address where the certificate is trusted for the route", async () => {
    await using origin = await startFakeOrigin(() => ok("secret"), { tls });
    await using upstream = trusting();
    for (const host of ["origin.example", "127.0.0.1"]) {
      const { body } = await upstream.fetch(`https://${host}:${origin.port}/x`);
      assert.equal((await bytesOf(body)).toString(), "secret");
    }
    assert.deepEqual(upstream.dialled, [`127.0.0.1:${origin.port}`, `127.0.0.1:${origin.port}`]);
  });

  const unproved = failsWith("upstream-failed", "The origin could not be reached");

  test("refuses a certificate that nobody vouches for, whatever the environment says", async () => {
    const name = "NODE_TLS_REJECT_UNAUTHORIZED";
    const previous = process.env[name];
    process.env[name] = "0";
    try {
      await using origin = await startFakeOrigin(() => ok("secret"), { tls });
      await using upstream = trusting({ extraCa: null });
      await assert.rejects(upstream.fetch(`https://origin.example:${origin.port}/`), unproved);
      assert.deepEqual([origin.requests.length, upstream.dialled.length], [0, 1]);
    } finally {
      if (previous === undefined) delete process.env[name];
      else process.env[name] = previous;
    }
  });

  test("refuses a certificate for another name or address", async () => {
    await using origin = await startFakeOrigin(() => ok("secret"), { tls });
    await using upstream = trusting();
    for (const host of ["other.example", "127.0.0.2"])
      await assert.rejects(upstream.fetch(`https://${host}:${origin.port}/`), unproved);
    assert.equal(origin.requests.length, 0);
  });

  test("refuses plain text where TLS was asked for", async () => {
    await using origin = await startFakeOrigin(() => ok("secret"));
    await using upstream = trusting({ times: { tlsTimeoutMs: 50 } });
    await assert.rejects(upstream.fetch(`https://origin.example:${origin.port}/`), failsWith("upstream-timeout"));
    await origin.idle();
  });

  test("a handshake that does not come is too slow, and the connection goes (P24)", async () => {
    await using origin = await startFakeOrigin(() => stall());
    await using upstream = trusting({ times: { tlsTimeoutMs: 30 } });
    const tooSlow = failsWith("upstream-timeout", "The TLS handshake with the origin took too long");
    await assert.rejects(upstream.fetch(`https://origin.example:${origin.port}/`), tooSlow);
    await origin.idle();
  });

  test("a reset is no end of a body there either (P26)", async () => {
    await using origin = await startFakeOrigin(({ path }) => (path === "/end" ? end(head(200), "x") : reset(head(200), "x")), {
      tls,
    });
    await using upstream = trusting();
    assert.equal(await drain((await upstream.fetch(`https://origin.example:${origin.port}/end`)).body), 1);
    const { body } = await upstream.fetch(`https://origin.example:${origin.port}/reset`);
    await assert.rejects(drain(body), failsWith("upstream-failed", "The origin's answer broke off"));
  });

  test("a redirect to plain http is refused unless it is allowed (P23)", async () => {
    await using plain = await startFakeOrigin(() => ok("plain"));
    await using origin = await startFakeOrigin(() => redirect(302, `http://127.0.0.1:${plain.port}/`), { tls });
    await using strict = trusting();
    const refused = failsWith("upstream-failed", "The origin redirects to an address without TLS");
    await assert.rejects(strict.fetch(`https://origin.example:${origin.port}/`), refused);
    assert.equal(plain.requests.length, 0);
    await using lax = trusting({ allowDowngrade: true });
    assert.equal((await bytesOf((await lax.fetch(`https://origin.example:${origin.port}/`)).body)).toString(), "plain");
  });
});

describe("plain connections", () => {
  test("use the second address when the first is closed (S21)", async () => {
    await using origin = await startFakeOrigin(() => ok("x"));
    await using upstream = recordedUpstream({ names: { "h.example": [["127.0.0.9", "127.0.0.1"]] }, allowPrivate: loopback });
    await drain((await upstream.fetch(`http://h.example:${origin.port}/`)).body);
    assert.deepEqual(upstream.dialled, [`127.0.0.9:${origin.port}`, `127.0.0.1:${origin.port}`]);
  });
});
