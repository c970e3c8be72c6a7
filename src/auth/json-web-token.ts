/** Tokens that an identity provider has signed (RFC 7519): whose they are, and what they are for. */

import { errors, type JWTPayload, jwtVerify } from "jose";
import { type KeySet, KeySetUnavailable } from "./key-set.ts";

export interface TokenOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: KeySet;
  /** Of a token that names none. */
  readonly defaultScopes: readonly string[];
  /** The wall clock in milliseconds, as Date.now. */
  readonly now: () => number;
}

export type TokenOutcome =
  /** @param scopes as they were written; some may be nothing to us. */
  | { readonly kind: "valid"; readonly client: string; readonly scopes: readonly string[] }
  /** @param reason for the log. */
  | { readonly kind: "invalid"; readonly reason: string }
  /** Nobody can tell for now. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Whoever knows a public key could use it as the secret of a symmetric one (RFC 8725 §2.1). */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const skewSeconds = 60;
const longestName = 200;

/** Never rejects. */
export async function readToken(
  token: string,
  { issuer, audience, keys, defaultScopes, now }: TokenOptions,
): Promise<TokenOutcome> {
  try {
    const { payload } = await jwtVerify(token, (header) => keys.keyFor(header), {
      issuer,
      audience,
      algorithms,
      requiredClaims: ["exp"],
      clockTolerance: skewSeconds,
      currentDate: new Date(now()),
    });
    const client = clientIn(payload);
    if (client === null) return { kind: "invalid", reason: "it names no client: azp, client_id, sub" };
    return { kind: "valid", client, scopes: scopesIn(payload) ?? defaultScopes };
  } catch (error) {
    if (error instanceof KeySetUnavailable) {
      const { cause } = error;
      return { kind: "unavailable", reason: `${error.message}: ${cause instanceof Error ? cause.message : String(cause)}` };
    }
    return { kind: "invalid", reason: error instanceof errors.JOSEError ? error.message : "it cannot be verified" };
  }
}

/** The application that acts, else whom it acts for. */
function clientIn(payload: JWTPayload): string | null {
  const { azp, client_id: clientId, sub } = payload;
  const name = azp ?? clientId ?? sub;
  return typeof name === "string" && name !== "" && name.length <= longestName ? name : null;
}

/** Null where it names none. `scope` is RFC 8693 §4.2; `scp` what Microsoft and Okta write. */
function scopesIn({ scope, scp }: JWTPayload): readonly string[] | null {
  const named = scope ?? scp;
  if (typeof named === "string") return named.split(" ").filter((word) => word !== "");
  if (Array.isArray(named)) return named.filter((word) => typeof word === "string");
  return named === undefined ? null : [];
}
