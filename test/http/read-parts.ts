/** A body's parts, one after the other, each with its name, its headers and its bytes. */

import { MultipartReader, type Part, type PartLimits } from "../../src/http/multipart-reader.ts";

export interface ReadPart extends Pick<Part, "fileName" | "headers" | "transferCoding"> {
  readonly body: AsyncIterable<Uint8Array>;
}

export async function* readParts(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
  limits: PartLimits = {},
): AsyncGenerator<ReadPart, void, undefined> {
  const reader = new MultipartReader(body, boundary, limits);
  for (let part = reader.nextPart(); part !== null; part = reader.nextPart()) {
    if (part === undefined) await reader.ready();
    else yield { fileName: part.fileName, headers: part.headers, transferCoding: part.transferCoding, body: part };
  }
}
