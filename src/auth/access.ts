/** Decides by a request's head who sends it, and whether he may. */

import type { X509Certificate } from "node:crypto";
import { type IpRange, isInRange, parseIpAddress } from "../codec/ip-address.ts";
import type { AccessRefusal } from "../core/events.ts";
import type { Scope } from "../core/scope.ts";
import { certificateIn, isValidAt, namesIn } from "./certificate-name.ts";
import { type AuthMethod, type Client, hasScope } from "./client.ts";
import { credentialsIn } from "./credentials.ts";
import { type ReadToken, tokenClient } from "./json-web-token.ts";
import { idIn, isKeyOf, looksLikeKey } from "./key.ts";
import type { KnownEntries, KnownEntry } from "./keys.ts";
import type { Limiter } from "./limiter.ts";

/** What of a request tells who sends it. */
export interface Head {
  readonly rawHeaders: readonly string[];
  /** Whose request it is, as TRUSTED_PROXIES gives it. */
  address(): string;
  /** That the connection itself has shown, and SSL_CLIENT_CA's authorities vouch for. */
  certificate(): X509Certificate | null;
  /** The lines of `Client-Cert` where one of TRUSTED_PROXIES sent it: from anybody else there are none. */
  forwardedCertificates(): readonly string[];
}

export type AccessDecision =
  | { readonly kind: "let-in"; readonly client: Client }
  | {
      readonly kind: "refused";
      readonly reason: AccessRefusal;
      /** Who it is, where that is certain. */
      readonly client: Client | null;
      /** What is wrong with its token, for the log; null where there is none. */
      readonly detail: string | null;
    };

/** Who may ask, and how much. */
export interface Access extends Limiter {
  /** May be asked for each request: it takes the same time for a wrong key as for one that nobody has. At once, but for a token. Never rejects. */
  decide(head: Head, scope: Scope): AccessDecision | Promise<AccessDecision>;
}

export interface AccessOptions {
  /** One suffices; none is empty. */
  readonly methods: ReadonlySet<AuthMethod>;
  readonly keys: KnownEntries;
  /** Null where none are taken. */
  readonly readToken: ReadToken | null;
  readonly limiter: Limiter;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createAccess({ methods, keys, readToken, limiter, now }: AccessOptions): Access {
  const takesKeys = methods.has("key");
  const takesCertificates = methods.has("mtls");

  return {
    admit: limiter.admit,
    decide(head, scope) {
      const shown = takesKeys || readToken !== null ? credentialsIn(head.rawHeaders) : none;
      switch (shown.kind) {
        case "conflict":
          return refused("conflict");
        case "token": {
          const { token } = shown;
          const isKey = readToken === null || (takesKeys && looksLikeKey(token));
          return isKey ? judge(byKey(token), head, scope) : byToken(readToken, token, scope);
        }
        case "none":
          return takesCertificates ? byCertificate(head, scope) : refused("no-credentials");
      }
    },
  };

  function byKey(token: string): KnownEntry | null {
    const id = idIn(token);
    const entry = id === null ? null : keys.byId(id);
    return isKeyOf(token, entry?.sha256 ?? null) ? entry : null;
  }

  async function byToken(read: ReadToken, token: string, scope: Scope): Promise<AccessDecision> {
    const outcome = await read(token);
    switch (outcome.kind) {
      case "valid": {
        const client = tokenClient(outcome);
        return hasScope(client, scope) ? { kind: "let-in", client } : refused("scope", client);
      }
      case "expired":
      case "unavailable":
        return refused(outcome.kind, null, outcome.reason);
      case "invalid":
        return refused("unknown", null, outcome.reason);
    }
  }

  /** What a trusted proxy says of its client's certificate counts before its own. */
  function byCertificate(head: Head, scope: Scope): AccessDecision {
    const fields = head.forwardedCertificates();
    // One of them may be the client's own, which a proxy that adds its line has passed on.
    if (fields.length > 1) return refused("conflict");
    const [field] = fields;
    const certificate = field === undefined ? head.certificate() : certificateIn(field);
    if (certificate === null) return refused(field === undefined ? "no-credentials" : "unknown");
    if (!isValidAt(certificate, now())) return refused("expired");
    const entry = namesIn(certificate)
      .map((name) => keys.byCertificateName(name))
      .find((one) => one !== null);
    return entry === undefined ? refused("certificate") : judge(entry, head, scope);
  }

  function judge(known: KnownEntry | null, head: Head, scope: Scope): AccessDecision {
    if (known === null) return refused("unknown");
    const { client, notAfter, from } = known;
    if (notAfter !== null && now() >= notAfter) return refused("expired", client);
    if (from !== null && !isWithin(head.address(), from)) return refused("network", client);
    return hasScope(client, scope) ? { kind: "let-in", client } : refused("scope", client);
  }
}

const none = { kind: "none" } as const;

function refused(reason: AccessRefusal, client: Client | null = null, detail: string | null = null): AccessDecision {
  return { kind: "refused", reason, client, detail };
}

function isWithin(text: string, ranges: readonly IpRange[]): boolean {
  const address = parseIpAddress(text);
  return address !== null && ranges.some((range) => isInRange(address, range));
}
