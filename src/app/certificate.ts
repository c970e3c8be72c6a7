/** The certificate's files: read at the start, and again when they have changed. */

import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { systemCodeOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { Certificate } from "../http/listener.ts";
import { settingFault } from "./setting-fault.ts";

export interface CertificatePaths {
  readonly certPath: string;
  readonly keyPath: string;
  /** Of the authorities of the clients' certificates; null where none are asked for. */
  readonly ca: { readonly setting: "SSL_CLIENT_CA" | "ICAP_CLIENT_CA"; readonly path: string } | null;
}

export interface TlsFiles extends CertificatePaths {
  readonly certificate: Certificate;
  readonly emit: Emit;
}

const certificatePollMs = 5_000;

export function certificateFault({ certPath, keyPath, ca }: CertificatePaths, error: unknown): Error {
  if (ca === null) return settingFault("SSL_CERT, SSL_KEY", `${certPath} and ${keyPath} cannot be used`, error);
  return settingFault(`SSL_CERT, SSL_KEY, ${ca.setting}`, `${certPath}, ${keyPath} and ${ca.path} cannot be used`, error);
}

/** Null where one of the files is not there. */
export async function readCertificate({ certPath, keyPath, ca }: CertificatePaths): Promise<Certificate | null> {
  try {
    const authorities = ca === null ? null : await readFile(ca.path, "utf8");
    return { cert: await readFile(certPath, "utf8"), key: await readFile(keyPath, "utf8"), ca: authorities };
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return null;
    throw error;
  }
}

export interface CertificateState {
  /** Of the one in use; null where it does not tell. */
  readonly expiresAt: Date | null;
  /** Why the files as they are now are not in use; names no path. */
  readonly fault: string | null;
}

export interface CertificateWatch {
  state(): CertificateState;
  look(): Promise<void>;
  close(): void;
}

/** Renewed certificates are taken up without a restart; a broken one leaves the old in place. */
export function watchCertificate(tls: TlsFiles, use: (certificate: Certificate) => void): CertificateWatch {
  let current = tls.certificate;
  let seen = "";
  let expiresAt = expiryOf(current);
  let fault: string | null = null;
  const look = async () => {
    try {
      const { certPath, keyPath, ca } = tls;
      const marks = await Promise.all([certPath, keyPath, ...(ca === null ? [] : [ca.path])].map((path) => stat(path)));
      const mark = marks.map(({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`).join("; ");
      if (mark === seen) return;
      const next = await readCertificate(tls);
      if (next === null) return;
      const isNew = next.cert !== current.cert || next.key !== current.key || next.ca !== current.ca;
      if (isNew) use(next);
      if (isNew) tls.emit({ kind: "notice", level: "info", message: "the TLS certificate was renewed" });
      else if (fault !== null) tls.emit({ kind: "notice", level: "info", message: "the TLS certificate is back as it was" });
      fault = null;
      expiresAt = expiryOf(next);
      current = next;
      seen = mark;
    } catch (error) {
      const { message: reason } = certificateFault(tls, error);
      const before = fault;
      fault = reason.replaceAll(tls.certPath, "SSL_CERT").replaceAll(tls.keyPath, "SSL_KEY");
      // Looked at every few seconds, and told once.
      if (fault === before) return;
      const message = `the TLS certificate could not be renewed, the old one stays: ${reason}`;
      tls.emit({ kind: "notice", level: "error", message });
    }
  };
  const timer = setInterval(() => void look(), certificatePollMs);
  timer.unref();
  return { state: () => ({ expiresAt, fault }), look, close: () => clearInterval(timer) };
}

/** Null where Node can use it and does not tell. */
function expiryOf({ cert }: Certificate): Date | null {
  try {
    return new X509Certificate(cert).validToDate;
  } catch {
    return null;
  }
}
