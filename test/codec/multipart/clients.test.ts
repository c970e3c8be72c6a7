import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileNameOf } from "../../../src/codec/content-disposition.ts";
import { bodyKind } from "../../../src/codec/multipart/boundary.ts";
import { clientForms, content } from "./client-forms.ts";
import { bytes, parseInEveryCut } from "./driver.ts";

interface File {
  readonly name: string | null;
  /** One character per byte. */
  readonly body: string;
}

function filesOf(contentType: string, body: Uint8Array): readonly File[] {
  const kind = bodyKind([contentType]);
  assert.equal(kind.kind, "multipart", JSON.stringify(kind));
  const { parts, error } = parseInEveryCut(body, { boundary: kind.boundary });
  assert.equal(error, null);
  return parts.map((part) => ({ name: fileNameOf(part.headers["content-disposition"]), body: part.body }));
}

describe("forms of clients", () => {
  for (const { client, contentType, body, name } of clientForms) {
    test(`${client}: the file as it was sent`, () => {
      assert.deepEqual(filesOf(contentType, bytes(body)), [{ name, body: content }]);
    });
  }

  test("this Node's fetch: any file, a field and odd names", async () => {
    const form = new FormData();
    const names = ['quote".bin', "line\r\nend.bin", "\u00e4\u{1f4a9}.bin", "back\\slash.bin", "blob"];
    for (const name of names) form.append("file", new Blob([new Uint8Array(bytes(content))]), name);
    form.append("field", "a\r\nvalue");
    const written = new Response(form);
    const contentType = written.headers.get("content-type") ?? "";
    const files = filesOf(contentType, new Uint8Array(await written.arrayBuffer()));
    assert.deepEqual(
      files.slice(0, -1).map(({ name, body }) => [name, body]),
      ["quote%22.bin", "line%0D%0Aend.bin", "\u00e4\u{1f4a9}.bin", "back\\slash.bin", "blob"].map((name) => [name, content]),
    );
    assert.equal(files.at(-1)?.name, null);
  });
});
