import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { madeZip } from "../containers/made-zip.ts";
import { toolSample } from "../containers/tool-samples.ts";
import { head, keep } from "../fake/origin.ts";
import { mebibyte } from "../live/clamd.ts";
import { http1, upload } from "./client.ts";
import { type DownloadStage, openDownloads } from "./proxy/proxy-stage.ts";
import { eicar } from "./samples.ts";

const begun = (first: string, bytes: Uint8Array) => Buffer.concat([Buffer.from(first, "latin1"), bytes]);
const image = `/RGB\nID\n${"\xff".repeat(24)}`;

const bodies: Readonly<Record<string, { readonly bytes: Buffer; readonly finding: RegExp | null }>> = {
  "a script that begins as a song": { bytes: begun("ID3=1\n", eicar.bytes), finding: /eicar/i },
  "a large body that begins as Ogg": {
    bytes: begun("OggS", Buffer.concat([randomBytes(2 * mebibyte), eicar.bytes])),
    finding: /eicar/i,
  },
  "a body with the image magic": { bytes: begun(`#${image}`, eicar.bytes), finding: /Heuristics\.Clamgate\.IgnoredType/ },
  "a zip of a method that clamd lacks": { bytes: toolSample("LZMA.zip"), finding: /Heuristics\.Clamgate\.Zip\.Method/ },
  "an encrypted message": { bytes: toolSample("key.asc"), finding: /Heuristics\.Clamgate\.Encrypted\.OpenPgp/ },
  "a large zip behind gzip": {
    bytes: Buffer.concat([gzipSync(randomBytes(2 * mebibyte)), madeZip([{ bytes: eicar.bytes }])]),
    finding: /Heuristics\.Clamgate\.Zip\.Behind/,
  },
  "a zip": { bytes: madeZip([{}, { hasDescriptor: true }]), finding: null },
  "a song": { bytes: begun("ID3", randomBytes(5000)), finding: null },
  "a long one": { bytes: begun("OggS", randomBytes(2 * mebibyte)), finding: null },
};

describe("a gateway before a clamd that overlooks bodies, or what is in them", () => {
  let stage: DownloadStage;
  before(async () => {
    stage = await openDownloads();
  });
  after(() => stage[Symbol.asyncDispose]());

  for (const [name, { bytes, finding }] of Object.entries(bodies)) {
    test(`${finding === null ? "passes" : "blocks"} ${name}, uploaded and downloaded, new and remembered`, async () => {
      stage.files.set("/a", () => keep(head(200, `Content-Length: ${bytes.length}`), bytes));
      for (let times = 0; times < 2; times += 1) {
        const byForm = await upload(stage.gateway.url, { name: "a", bytes });
        const asBody = await http1(`${stage.gateway.url}/scanHandlerBody`, bytes, "application/octet-stream");
        const { status, body } = await stage.get("/a");
        assert.deepEqual([byForm.status, asBody.status, status], finding === null ? [200, 200, 200] : [406, 406, 409]);
        if (finding === null) assert.equal(Buffer.compare(Buffer.from(body), bytes), 0);
        else for (const answer of [byForm, asBody]) assert.match(answer.body, finding);
      }
    });
  }
});
