/** The certificate's files: read at the start, and again when they have changed. */

import { readFile, stat } from "node:fs/promises";
import type { Emit } from "../core/events.ts";
import type { Certificate } from "../http/listener.ts";
import { settingFault } from "./setting-fault.ts";

export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  readonly certificate: Certificate;
  readonly emit: Emit;
}

const certificatePollMs = 5_000;

export function certificateFault({ certPath, keyPath }: { certPath: string; keyPath: string }, error: unknown): Error {
  return settingFault("SSL_CERT, SSL_KEY", `${certPath} and ${keyPath} cannot be used`, error);
}

export async function readCertificate({ certPath, keyPath }: { certPath: string; keyPath: string }): Promise<Certificate | null> {
  try {
    return { cert: await readFile(certPath, "utf8"), key: await readFile(keyPath, "utf8") };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

export interface CertificateWatch {
  look(): Promise<void>;
  close(): void;
}

/** Renewed certificates are taken up without a restart; a broken one leaves the old in place. */
export function watchCertificate(tls: TlsFiles, use: (certificate: Certificate) => void): CertificateWatch {
  let current = tls.certificate;
  let seen = "";
  const look = async () => {
    try {
      const marks = await Promise.all([stat(tls.certPath), stat(tls.keyPath)]);
      const mark = marks.map(({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`).join("; ");
      if (mark === seen) return;
      const next = await readCertificate(tls);
      if (next === null) return;
      if (next.cert !== current.cert || next.key !== current.key) {
        use(next);
        tls.emit({ kind: "notice", level: "info", message: "the TLS certificate was renewed" });
      }
      current = next;
      seen = mark;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      tls.emit({
        kind: "notice",
        level: "error",
        message: `the TLS certificate could not be renewed, the old one stays: ${reason}`,
      });
    }
  };
  const timer = setInterval(() => void look(), certificatePollMs);
  timer.unref();
  return { look, close: () => clearInterval(timer) };
}
