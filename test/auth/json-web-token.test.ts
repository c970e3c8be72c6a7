import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { createReadToken } from "../../src/auth/json-web-token.ts";
import { KeySet } from "../../src/auth/key-set.ts";

const issuer = "https://issuer.example";
const audience = "clamgate";
const nowMs = Date.UTC(2026, 10, 28);
const nowSeconds = nowMs / 1000;
/** As little as a token needs. */
const plain = { iss: issuer, aud: audience, exp: nowSeconds + 300, sub: "shop" };

describe("readToken", () => {
  let pair: { readonly publicKey: CryptoKey; readonly privateKey: CryptoKey };
  let published: { readonly keys: object[] };

  before(async () => {
    pair = await generateKeyPair("RS256", { extractable: true });
    published = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: "first", alg: "RS256", use: "sig" }] };
  });

  function stage({ load = async () => published }: { readonly load?: () => Promise<unknown> } = {}) {
    let now = 0;
    let loads = 0;
    const keys = new KeySet({
      clock: () => now,
      load: () => {
        loads += 1;
        return load();
      },
    });
    const read = createReadToken({ issuer, audience, keys, defaultScopes: ["scan"], now: () => nowMs + now });
    const pass = (ms: number) => {
      now += ms;
    };
    return { read, pass, loads: () => loads };
  }

  function sign(
    payload: JWTPayload,
    { alg = "RS256", kid = "first", key = pair.privateKey }: { alg?: string; kid?: string; key?: CryptoKey | Uint8Array } = {},
  ) {
    return new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(key);
  }

  test("knows the client and what it may do", async () => {
    const { read } = stage();
    assert.deepEqual(await read(await sign(plain)), { kind: "valid", name: "shop", scopes: ["scan"] });
  });

  for (const [claims, client] of [
    [{ azp: "app", client_id: "id", sub: "user" }, "app"],
    [{ client_id: "id", sub: "user" }, "id"],
    [{ sub: "user" }, "user"],
  ] as const) {
    test(`takes the client from ${Object.keys(claims)[0]}`, async () => {
      const outcome = await stage().read(await sign({ ...plain, ...claims }));
      assert.equal(outcome.kind === "valid" ? outcome.name : outcome.reason, client);
    });
  }

  for (const [claims, scopes] of [
    [{}, ["scan"]],
    [{ scope: "openid scan  jobs" }, ["scan", "jobs"]],
    [{ scope: "openid profile" }, []],
    [{ scp: "status" }, ["status"]],
    [{ scp: ["scan", 7, "admin"] }, ["scan", "admin"]],
    [{ scope: "jobs", scp: ["admin"] }, ["jobs"]],
    [{ scope: "" }, []],
    [{ scope: 7 }, []],
  ] as const) {
    test(`reads ${JSON.stringify(claims)} as the scopes ${JSON.stringify(scopes)}`, async () => {
      const outcome = await stage().read(await sign({ ...plain, ...claims }));
      assert.deepEqual(outcome.kind === "valid" ? outcome.scopes : outcome.reason, scopes);
    });
  }

  test("takes a Kubernetes service account's token", async () => {
    const payload = {
      aud: ["https://kubernetes.default.svc.cluster.local", audience],
      exp: nowSeconds + 3607,
      iat: nowSeconds,
      nbf: nowSeconds,
      iss: issuer,
      jti: "5e1b6f0c-0f7a-4b3c-9f2e-1d2c3b4a5f60",
      "kubernetes.io": {
        namespace: "shop",
        node: { name: "node-1", uid: "8f7a" },
        pod: { name: "web-0", uid: "17d2" },
        serviceaccount: { name: "web", uid: "9c1e" },
      },
      sub: "system:serviceaccount:shop:web",
    };
    const outcome = await stage().read(await sign(payload));
    assert.deepEqual(outcome, { kind: "valid", name: "system:serviceaccount:shop:web", scopes: ["scan"] });
  });

  describe("does not take", () => {
    const without = (name: keyof typeof plain) => Object.fromEntries(Object.entries(plain).filter(([key]) => key !== name));
    const wrongs: Record<string, () => Promise<string>> = {
      "alg none": async () => `${coded({ alg: "none" })}.${coded(plain)}.`,
      "alg none with a key id": async () => `${coded({ alg: "none", kid: "first" })}.${coded(plain)}.`,
      "HS256 with the public key as its secret": async () =>
        sign(plain, { alg: "HS256", key: new TextEncoder().encode(await exportSPKI(pair.publicKey)) }),
      "another issuer": () => sign({ ...plain, iss: "https://else.example" }),
      "no issuer": () => sign(without("iss")),
      "a foreign audience": () => sign({ ...plain, aud: "other" }),
      "no audience": () => sign(without("aud")),
      "no exp": () => sign(without("exp")),
      "one that begins in 61 s": () => sign({ ...plain, nbf: nowSeconds + 61 }),
      "one without a name": () => sign(without("sub")),
      "a name with a line break": () => sign({ ...plain, sub: "shop\nadmin" }),
      "an empty name": () => sign({ ...plain, sub: "" }),
      "another's signature": async () => sign(plain, { key: (await generateKeyPair("RS256")).privateKey }),
      "another's name over a signature": async () => {
        const [head, , signature] = (await sign(plain)).split(".");
        return `${head}.${coded({ ...plain, sub: "admin" })}.${signature}`;
      },
      "a critical extension that nobody knows": async () =>
        (await sign(plain)).replace(/^[^.]+/, coded({ alg: "RS256", kid: "first", crit: ["x-new"], "x-new": 1 })),
      "no token at all": async () => "x.y.z",
      "an empty text": async () => "",
    };
    for (const [name, make] of Object.entries(wrongs)) {
      test(name, async () => {
        const { read } = stage();
        assert.equal((await read(await make())).kind, "invalid");
      });
    }
  });

  test("says of one that ran out 60 s ago that it has expired", async () => {
    assert.equal((await stage().read(await sign({ ...plain, exp: nowSeconds - 60 }))).kind, "expired");
  });

  test("allows clocks to differ by 60 s", async () => {
    const { read } = stage();
    for (const claims of [{ exp: nowSeconds - 59 }, { nbf: nowSeconds + 60 }]) {
      assert.equal((await read(await sign({ ...plain, ...claims }))).kind, "valid");
    }
  });

  test("takes no symmetric key that the key set holds", async () => {
    const secret = Buffer.alloc(32, 7);
    const { read } = stage({ load: async () => ({ keys: [{ kty: "oct", k: secret.toString("base64url"), kid: "first" }] }) });
    assert.equal((await read(await sign(plain, { alg: "HS256", key: secret }))).kind, "invalid");
  });

  describe("asks for the keys", () => {
    test("once for all who come at the start", async () => {
      const { read, loads } = stage();
      const token = await sign(plain);
      const outcomes = await Promise.all(Array.from({ length: 100 }, () => read(token)));
      assert.ok(outcomes.every(({ kind }) => kind === "valid"));
      assert.equal(loads(), 1);
    });

    test("once for a thousand unknown key ids, and once more a minute later", async () => {
      const { read, pass, loads } = stage();
      await read(await sign(plain));
      pass(60_000);
      const tokens = await Promise.all(Array.from({ length: 1_000 }, (_, index) => unknown(`kid-${index}`)));
      const outcomes = await Promise.all(tokens.map(read));
      assert.ok(outcomes.every(({ kind }) => kind === "invalid"));
      assert.equal(loads(), 2);
      pass(59_999);
      await read(await unknown("late"));
      assert.equal(loads(), 2);
      pass(1);
      await read(await unknown("later"));
      assert.equal(loads(), 3);
    });

    test("not at all for a token with an algorithm that is not taken", async () => {
      const { read, loads } = stage();
      await read(`${coded({ alg: "none", kid: "x" })}.${coded(plain)}.`);
      await read(await sign(plain, { alg: "HS256", kid: "x", key: Buffer.alloc(32) }));
      assert.equal(loads(), 0);
    });

    test("and finds a new one, while the others go on", async () => {
      const second = await generateKeyPair("ES256", { extractable: true });
      let document = published;
      const { read, pass, loads } = stage({ load: async () => document });
      await read(await sign(plain));
      document = { keys: [...published.keys, { ...(await exportJWK(second.publicKey)), kid: "second" }] };
      pass(60_000);
      const token = await sign(plain, { alg: "ES256", kid: "second", key: second.privateKey });
      assert.equal((await read(token)).kind, "valid");
      assert.equal((await read(await sign(plain))).kind, "valid");
      assert.equal(loads(), 2);
    });

    test("again after ten minutes, and no longer takes one that has been withdrawn", async () => {
      let document = published;
      const { read, pass, loads } = stage({ load: async () => document });
      const token = await sign({ ...plain, exp: nowSeconds + 7_200 });
      await read(token);
      document = { keys: [] };
      pass(600_001);
      await read(token);
      assert.equal(loads(), 2);
      assert.equal((await read(token)).kind, "invalid");
    });
  });

  describe("while the keys cannot be had", () => {
    const away = async () => Promise.reject(new Error("connection refused"));

    for (const [name, load] of [
      ["nobody answers", away],
      ["what comes is no key set", async () => ({ error: "not found" })],
      ["what comes is nothing", async () => null],
    ] as const) {
      test(`cannot tell, and asks every five seconds: ${name}`, async () => {
        const { read, pass, loads } = stage({ load });
        const token = await sign(plain);
        const outcomes = await Promise.all(Array.from({ length: 10 }, () => read(token)));
        assert.ok(outcomes.every(({ kind }) => kind === "unavailable"));
        assert.equal((await read(token)).kind, "unavailable");
        assert.equal(loads(), 1);
        pass(5_000);
        assert.equal((await read(token)).kind, "unavailable");
        assert.equal(loads(), 2);
      });
    }

    test("goes on with those it has for an hour, and says of an unknown one that it cannot tell", async () => {
      let load: () => Promise<unknown> = async () => published;
      const { read, pass, loads } = stage({ load: () => load() });
      const token = await sign({ ...plain, exp: nowSeconds + 7_200 });
      await read(token);
      load = away;
      pass(3_600_000);
      assert.equal((await read(token)).kind, "valid");
      assert.equal((await read(await unknown("second"))).kind, "unavailable");
      assert.equal(loads(), 2);
      pass(5_000);
      assert.equal((await read(token)).kind, "unavailable");
      load = async () => published;
      pass(5_000);
      assert.equal((await read(token)).kind, "valid");
    });
  });

  /** Its signature is never looked at. */
  async function unknown(kid: string): Promise<string> {
    const [, ...rest] = (await sign(plain)).split(".");
    return [coded({ alg: "RS256", kid }), ...rest].join(".");
  }
});

function coded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
