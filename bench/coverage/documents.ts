/** Documents and messages, as far as a sample needs them. */

import { deflateSync } from "node:zlib";
import { madeZip } from "../../test/containers/made-zip.ts";

/** A message with one attachment in base64. */
export function mail(bytes: Uint8Array): Buffer {
  const lines = Buffer.from(bytes).toString("base64").replace(/.{76}/g, "$&\n");
  const head =
    "From: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n";
  return Buffer.from(`${head}\n${lines}\n--x--\n`);
}

/** A PDF of one deflated stream with these keys in its dictionary; object 3 is the name of its filter. */
export function pdfOf(keys: string, bytes: Uint8Array): Buffer {
  const data = deflateSync(bytes);
  const head = `%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n2 0 obj\n<< ${keys} /Length ${data.length} >>\nstream\n`;
  return Buffer.concat([
    Buffer.from(head),
    data,
    Buffer.from("\nendstream\nendobj\n3 0 obj\n/FlateDecode\nendobj\ntrailer << >>\n"),
  ]);
}

/** MS-OFFCRYPTO 2.3.4: an OLE2 file (MS-CFB 2.6) whose stream is EncryptedPackage; as far as its directory. */
export function encryptedOffice(): Buffer {
  const header = Buffer.alloc(512);
  header.write("d0cf11e0a1b11ae1", "hex");
  const entry = (name: string, type: number) => {
    const made = Buffer.alloc(128);
    made.write(name, "utf16le");
    made.writeUInt16LE(2 * name.length + 2, 64);
    made.writeUInt8(type, 66);
    return made;
  };
  return Buffer.concat([header, entry("Root Entry", 5), entry("EncryptedPackage", 2), Buffer.alloc(512)]);
}

/** OpenDocument 1.2 part 3, 3.4: its manifest says so; the entries themselves are no zip encryption. */
export function encryptedOpenDocument(): Buffer {
  const namespace = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0";
  const entry = '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>';
  const manifest = `<?xml version="1.0"?><manifest:manifest xmlns:manifest="${namespace}">${entry}</manifest:manifest>`;
  // Stored (part 3, 3.3): its beginning tells what the file is.
  const stored = { method: 0 };
  const mimetype = Buffer.from("application/vnd.oasis.opendocument.text");
  const first = { name: "mimetype", bytes: mimetype, packed: mimetype, local: stored, central: stored };
  return madeZip([first, { name: "content.xml" }, { name: "META-INF/manifest.xml", bytes: Buffer.from(manifest) }]);
}
