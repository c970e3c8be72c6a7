/** Tokens of an identity provider, at a gateway process (product.md A5, accept 5, 6). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { ok, startFakeOrigin } from "../../fake/origin.ts";
import { openClientStage } from "./stage.ts";

const issuer = "https://issuer.example";

describe("a gateway process with AUTH=jwt", () => {
  test("takes what its issuer signed for it, nothing else, and fetches the keys once for a thousand that nobody knows", async () => {
    const pair = await generateKeyPair("RS256", { extractable: true });
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: "first" }] });
    await using origin = await startFakeOrigin(() => ok(jwks));
    const env = {
      AUTH: "jwt",
      API_KEYS_FILE: "",
      JWT_ISSUER: issuer,
      JWT_AUDIENCE: "clamgate",
      JWT_JWKS: `http://127.0.0.1:${origin.port}/keys`,
    };
    await using stage = await openClientStage({ env });
    const seconds = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, aud: ["clamgate"], exp: seconds + 300, sub: "system:serviceaccount:shop:web" };
    const sign = (
      payload: JWTPayload,
      alg = "RS256",
      key: typeof pair.privateKey | Uint8Array = pair.privateKey,
      kid = "first",
    ) => new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(key);
    const statusOf = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const answer = await fetch(`${stage.gateway.url}/v3/scan`, { method: "POST", body: "x", headers });
      await answer.arrayBuffer();
      return answer.status;
    };
    const { exp: _, ...endless } = claims;
    const coded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

    assert.equal(await statusOf(await sign(claims)), 200);
    assert.equal(await statusOf(await sign({ ...claims, scope: "status" })), 403);
    for (const token of [
      `${coded({ alg: "none" })}.${coded(claims)}.`,
      await sign(claims, "HS256", Buffer.from(await exportSPKI(pair.publicKey))),
      await sign({ ...claims, aud: "other" }),
      await sign({ ...claims, iss: "https://else.example" }),
      await sign(endless),
      await sign({ ...claims, exp: seconds - 120 }),
    ]) {
      assert.equal(await statusOf(token), 401, token);
    }
    for (let batch = 0; batch < 50; batch += 1) {
      const tokens = await Promise.all(
        Array.from({ length: 20 }, (_unused, index) => sign(claims, "RS256", pair.privateKey, `kid-${batch}-${index}`)),
      );
      assert.deepEqual(new Set(await Promise.all(tokens.map(statusOf))), new Set([401]));
    }
    // The one of the start; one more where the gateway needed more than a minute for them.
    assert.ok(origin.requests.length <= 2, `${origin.requests.length} fetches`);
    assert.equal(await statusOf(await sign(claims)), 200);
  });

  test("says 503 while the keys cannot be had", async () => {
    const pair = await generateKeyPair("ES256");
    const origin = await startFakeOrigin(() => ok("{}"));
    const { port } = origin;
    await origin[Symbol.asyncDispose]();
    const env = {
      AUTH: "jwt",
      API_KEYS_FILE: "",
      JWT_ISSUER: issuer,
      JWT_AUDIENCE: "clamgate",
      JWT_JWKS: `http://127.0.0.1:${port}/keys`,
    };
    await using stage = await openClientStage({ env });
    const exp = Math.floor(Date.now() / 1000) + 300;
    const token = await new SignJWT({ iss: issuer, aud: "clamgate", exp, sub: "shop" })
      .setProtectedHeader({ alg: "ES256", kid: "first" })
      .sign(pair.privateKey);
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${stage.gateway.url}/v3/scan`, { method: "POST", body: "x", headers });
    assert.equal(answer.status, 503);
    assert.ok(Number(answer.headers.get("retry-after")) > 0);
    assert.equal(((await answer.json()) as { code: string }).code, "keys-unavailable");
    await stage.gateway.line('"reason":"unavailable"');
  });
});
