/** Forms and coded bodies posted to the gateway; what it calls clean goes to other people's readers. */

import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import { bytesOf, codedBodies, headerLines, misleadingBodies } from "../coded-bodies.ts";
import { hidings } from "../forms/hidden-forms.ts";
import { type Campaign, campaign } from "../harness/campaign.ts";
import { expand } from "../harness/marked-text.ts";
import { changed } from "../harness/mutated.ts";
import { asCommand, type Post, type Poster } from "../harness/raw-post.ts";
import { assertEachHas, type Judge } from "./judge.ts";
import { evilForm, type JudgedForm, judgedForms, misleadingForms } from "./judged-forms.ts";
import type { Readings } from "./reader-process.ts";
import type { Readers } from "./readers.ts";

export interface JudgedUploads {
  readonly poster: Poster;
  readonly readers: Readers;
  readonly judge: Judge;
}

/** Everything but a verdict, an error that tells of the input, and what is not supported, is a fault. */
const expected = [200, 400, 406, 413, 415, 422, 501];

export function formUploads({ poster, readers, judge }: JudgedUploads): Campaign {
  return campaign({
    name: "forms before other readers",
    testRuns: 300,
    arbitrary: judgedForms,
    corpus: misleadingForms,
    least: { accepted: 0.1, judged: 0.05, refused: 0.1 },
    async before() {
      const file = Buffer.from(judge.markers.next());
      const head = 'Content-Disposition: form-data; name="f"; filename="a"\r\nContent-Type: text/plain\r\n';
      const form = `--A\r\n${head}\r\n${file}\r\n--A--\r\n`;
      const readings = await readers.read("form", "multipart/form-data; boundary=A", Buffer.from(form));
      assertEachHas(file, readings, readers.known, "form");
    },
    async check({ route, types, text, changes, ...how }, note) {
      judge.begin();
      const plain = changed(Buffer.from(expand(text, judge.markers), "latin1"), changes);
      const { coding, layers } = codedForm(plain, how, () => Buffer.from(expand(evilForm, judge.markers), "latin1"));
      const body = layers[0] ?? plain;
      const codings: Post["lines"] = coding === "" ? [] : [["Content-Encoding", coding]];
      const lines = [...types.map((type) => ["Content-Type", type] as const), ...codings];
      if (!(await isAccepted(poster, { path: route, lines, body }, note))) return;
      // Of two lines some frameworks take the first, some the last, and some join them.
      const kinds = types.length > 1 ? [...types, types.join(", ")] : types;
      // Some undo no coding, and some not all of them.
      for (const kind of kinds)
        for (const one of [...layers, plain]) {
          const readings = await readers.read("form", kind, one);
          compare(judge, readings, { path: route, lines, body }, note);
        }
    },
  });
}

interface CodedForm {
  readonly coding: string;
  /** Outermost first, without the form itself. */
  readonly layers: readonly Buffer[];
}

function codedForm(plain: Buffer, { coding, hiding }: Pick<JudgedForm, "coding" | "hiding">, hidden: () => Buffer): CodedForm {
  if (hiding !== null) return { coding: hidings[hiding].coding, layers: hidings[hiding].layers(plain, hidden()) };
  return { coding, layers: coding === "gzip" ? [gzipSync(plain)] : [] };
}

export function codedUploads({ poster, readers, judge }: JudgedUploads): Campaign {
  return campaign({
    name: "coded uploads before other readers",
    testRuns: 150,
    arbitrary: codedBodies,
    corpus: misleadingBodies,
    least: { accepted: 0.05, judged: 0.05, refused: 0.1 },
    async before() {
      const file = Buffer.from(judge.markers.next());
      const readings = await readers.read("coding", "deflate, gzip", gzipSync(deflateSync(file)));
      assertEachHas(file, readings, readers.known, "coding");
    },
    async check(coded, note) {
      judge.begin();
      const body = bytesOf(coded, judge.markers);
      const names = headerLines(coded);
      const codings = names.map((name): readonly [string, string] => ["Content-Encoding", name]);
      const transfer: Post["lines"] = coded.transfer === "" ? [] : [["Transfer-Encoding", coded.transfer]];
      const lines: Post["lines"] = [["Content-Type", "application/octet-stream"], ...codings, ...transfer];
      const post = { path: "/scanHandlerBody", lines, body };
      if (!(await isAccepted(poster, post, note))) return;
      const undone = names.length === 0 ? [] : [names.join(","), ...(names.length > 1 ? names : [])];
      const hidden = coded.transfer.replace(/,?\s*chunked$/i, "");
      for (const name of [...undone, ...(hidden === "" ? [] : [hidden])])
        compare(judge, await readers.read("coding", name, body), post, note);
    },
  });
}

async function isAccepted(poster: Poster, post: Post, note: (outcome: string) => void): Promise<boolean> {
  const { status, text } = await poster.post(post);
  assert.ok(expected.includes(status), `${status} ${text}\n${asCommand(post)}`);
  note(status === 200 ? "accepted" : "refused");
  return status === 200;
}

function compare(judge: Judge, readings: Readings, post: Post, note: (outcome: string) => void): void {
  if (judge.compare(readings, () => asCommand(post)) > 0) note("judged");
}
