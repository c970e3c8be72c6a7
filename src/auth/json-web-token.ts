/** Tokens that an identity provider has signed (RFC 7519): whose they are, and what they are for. */

import { errors, type JWTPayload, jwtVerify } from "jose";
import { messageOf } from "../core/errors.ts";
import { type Scope, scopes } from "../core/scope.ts";
import { type Client, noLimits } from "./client.ts";
import { type KeySet, KeySetUnavailable } from "./key-set.ts";

export interface TokenOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: KeySet;
  /** Of a token that names none. */
  readonly defaultScopes: readonly Scope[];
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export type TokenOutcome =
  | { readonly kind: "valid"; readonly name: string; readonly scopes: readonly Scope[] }
  /** @param reason for the log. */
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "expired"; readonly reason: string }
  /** Nobody can tell for now. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Never rejects. */
export type ReadToken = (token: string) => Promise<TokenOutcome>;

/** Whoever knows a public key could use it as the secret of a symmetric one (RFC 8725 §2.1). */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const skewSeconds = 60;
/** It stands in the log. */
const namePattern = /^[^\p{Cc}]{1,200}$/u;

export function createReadToken({ issuer, audience, keys, defaultScopes, now }: TokenOptions): ReadToken {
  return async function readToken(token) {
    try {
      const { payload } = await jwtVerify(token, (header) => keys.keyFor(header), {
        issuer,
        audience,
        algorithms,
        requiredClaims: ["exp"],
        clockTolerance: skewSeconds,
        currentDate: new Date(now()),
      });
      const name = nameIn(payload);
      if (name === null) return { kind: "invalid", reason: "it names no client: azp, client_id, sub" };
      return { kind: "valid", name, scopes: scopesIn(payload) ?? defaultScopes };
    } catch (error) {
      if (error instanceof KeySetUnavailable) {
        const { cause } = error;
        return { kind: "unavailable", reason: `${error.message}: ${messageOf(cause)}` };
      }
      if (error instanceof errors.JWTExpired) return { kind: "expired", reason: error.message };
      return { kind: "invalid", reason: error instanceof errors.JOSEError ? error.message : "it cannot be verified" };
    }
  };
}

/** The gateway has no entry for it, so no limits. No entry of a file can have such an id. */
export function tokenClient({ name, scopes: held }: TokenOutcome & { readonly kind: "valid" }): Client {
  const id = `jwt:${name}`;
  return { id, name, method: "jwt", scopes: new Set(held), limits: noLimits, quota: null, priority: "interactive" };
}

/** The application that acts, else whom it acts for. */
function nameIn(payload: JWTPayload): string | null {
  const { azp, client_id: clientId, sub } = payload;
  const name = azp ?? clientId ?? sub;
  return typeof name === "string" && namePattern.test(name) ? name : null;
}

/** Null where it names none; words that are nothing to us are left out. `scope` is RFC 8693 §4.2; `scp` what Microsoft and Okta write. */
function scopesIn({ scope, scp }: JWTPayload): readonly Scope[] | null {
  const named = scope ?? scp;
  if (named === undefined) return null;
  const words: readonly unknown[] = typeof named === "string" ? named.split(" ") : Array.isArray(named) ? named : [];
  return scopes.filter((scopeName) => words.includes(scopeName));
}
