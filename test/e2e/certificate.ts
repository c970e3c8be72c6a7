/** A certificate for localhost, made by openssl. */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

/** Writes `server.crt` and `server.key` into the directory. */
export async function makeCertificate(
  directory: string,
  commonName = "localhost",
): Promise<{ readonly cert: string; readonly key: string }> {
  const cert = join(directory, "server.crt");
  const key = join(directory, "server.key");
  const subject = ["-subj", `/CN=${commonName}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await promisify(execFile)("openssl", [...kind, ...subject, "-keyout", key, "-out", cert]);
  return { cert, key };
}
