/** The names that a certificate gives its holder (RFC 5280 §4.2.1.6), and how an entry of the key file writes one. */

import { X509Certificate } from "node:crypto";
import { parseIpAddress } from "../codec/ip-address.ts";

/** As Node writes its kind, a colon, and the name in its one spelling: a name of one kind is never taken for one of another. */
export type CertificateName = string;

/** As an entry has it: a URI, a mail address, an IP address or a host. Null for what is none. */
export function parseCertificateName(text: string): CertificateName | null {
  if (!/^[\x21-\x7e]{1,1024}$/.test(text)) return null;
  if (text.includes("://")) return `URI:${text}`;
  if (text.includes("@")) return `email:${text}`;
  const address = parseIpAddress(text);
  if (address !== null) return `IP Address:${address.text}`;
  return /^[\w*-]+(\.[\w-]+)*$/.test(text) ? `DNS:${text.toLowerCase()}` : null;
}

/** All of its names; one that only a hostile certificate would have is left out. */
export function namesIn({ subjectAltName }: X509Certificate): readonly CertificateName[] {
  // Names with a comma or a quote stand in quotes (CVE-2021-44532), and no entry can have one.
  const bare = (subjectAltName ?? "").replace(/"(?:[^"\\]|\\.)*"/g, '"');
  return bare.split(", ").flatMap((one) => {
    const colon = one.indexOf(":");
    const kind = one.slice(0, colon);
    const name = one.slice(colon + 1);
    if (kind === "IP Address") return [`${kind}:${parseIpAddress(name)?.text ?? ""}`];
    return [`${kind}:${kind === "DNS" ? name.toLowerCase() : name}`];
  });
}

/**
 * The field `Client-Cert` (RFC 9440 §2.2): a byte sequence of structured fields, which holds a certificate in DER. Null for what is none.
 * Whoever set it has looked at the chain.
 */
export function certificateIn(field: string): X509Certificate | null {
  const [, base64] = /^ *:([A-Za-z0-9+/]{1,65536}={0,2}): *$/.exec(field) ?? [];
  if (base64 === undefined) return null;
  try {
    return new X509Certificate(Buffer.from(base64, "base64"));
  } catch {
    return null; // no certificate, whatever OpenSSL says of it
  }
}

/** Long connections outlive short certificates. */
export function isValidAt({ validFromDate, validToDate }: X509Certificate, epochMs: number): boolean {
  return epochMs >= validFromDate.getTime() && epochMs <= validToDate.getTime();
}
