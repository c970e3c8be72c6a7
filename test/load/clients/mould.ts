/** Uploads of bodies that differ in a number alone: what it costs to make them is taken from the processors that are measured. */

import { createHash } from "node:crypto";
import { formOf } from "../../fault/harness/rest-client.ts";

export interface Cast {
  /** As it goes over the wire, head and form. */
  readonly request: Buffer;
  /** Of the file in it, lower-case hexadecimal. */
  readonly sha256: () => string;
}

const stampDigits = 16;

export class Mould {
  readonly #request: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** @param file has at least 16 bytes, the first of which say nothing. */
  constructor(url: string, file: Buffer) {
    const { headers, body } = formOf([{ name: "arrival.bin", bytes: file }]);
    const lines = Object.entries({ host: new URL(url).host, ...headers, "content-length": body.length });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    this.#request = Buffer.concat([Buffer.from(`POST /v2/scan HTTP/1.1\r\n${head}\r\n`), body]);
    this.#start = this.#request.indexOf(file);
    this.#end = this.#start + file.length;
  }

  /** @param number one that no other body of this mould has. */
  cast(number: number): Cast {
    const request = Buffer.from(this.#request);
    request.write(String(number).padStart(stampDigits, "0"), this.#start, "latin1");
    const file = request.subarray(this.#start, this.#end);
    return { request, sha256: () => createHash("sha256").update(file).digest("hex") };
  }
}
