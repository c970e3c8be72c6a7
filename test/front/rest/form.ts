/** Multipart forms by hand, whole or broken. */

import { request } from "./rest-server.ts";

export const boundary = "frontier";
export const formType = `multipart/form-data; boundary=${boundary}`;

export interface FormFile {
  /** Null: a plain field. */
  readonly name: string | null;
  readonly content: string | Uint8Array;
  readonly headers?: readonly string[];
}

export function form(...files: readonly FormFile[]): Buffer {
  return Buffer.concat([...files.map(part), Buffer.from(`--${boundary}--\r\n`)]);
}

export function part({ name, content, headers = [] }: FormFile): Buffer {
  const fileName = name === null ? "" : `; filename="${name}"`;
  const lines = [`Content-Disposition: form-data; name="file"${fileName}`, ...headers];
  return Buffer.concat([
    Buffer.from(`--${boundary}\r\n${lines.join("\r\n")}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from("\r\n"),
  ]);
}

export const clean: FormFile = { name: "clean.txt", content: "nothing here" };
export const infected: FormFile = { name: "eicar.test", content: "virus:Win.Test.EICAR_HDB-1" };

/** An upload by hand: one connection, closed after the answer. */
export function upload(path: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Buffer {
  return request(`POST ${path}`, { "content-type": formType, ...headers }, body);
}
