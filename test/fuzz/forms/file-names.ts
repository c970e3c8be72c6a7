/** B5: names that would be more than a name in an answer, a header or a log. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { anyString } from "../../any-string.ts";
import { marker } from "../../live/clamd.ts";
import { type Campaign, campaign } from "../harness/campaign.ts";
import type { Client } from "../harness/client.ts";

const piece = fc.oneof(
  fc.constantFrom(
    "\r\nX-Injected: yes\r\n",
    "\n",
    "\0",
    "\x1b[2J",
    "\x9b31m",
    "\u2028",
    "\u202e",
    '"',
    "\\",
    '"},{"Status":"OK',
    "%0d%0a",
    "../../",
    "a;b=c",
    "<script>",
    "\ud800",
    "\u{1f4a9}",
    "x".repeat(500),
  ),
  anyString({ maxLength: 8 }),
);
const spelling = fc.constantFrom<((name: string) => string)[]>(
  (name) => `filename="${name.replaceAll(/["\\]/g, "\\$&")}"`,
  (name) => `filename="${name}"`,
  (name) => `filename=${name}`,
  (name) => `filename*=UTF-8''${encode(name)}`,
  (name) => `filename*=UTF-8''${encode(name).replaceAll("%0A", "%0a")}; filename="a"`,
  (name) => `filename*0*=UTF-8''${encode(name)}`,
);
const disposition = fc
  .tuple(fc.array(piece, { minLength: 1, maxLength: 4 }), spelling)
  .map(([pieces, spell]) => spell(pieces.join("")));

export function fileNames({ fetch }: Client, url: string): Campaign {
  return campaign({
    name: "names of files (B5)",
    testRuns: 200,
    arbitrary: disposition,
    corpus: [`filename*=UTF-8''a%0d%0aX-Injected:%20yes`, 'filename="a\r\nX-Injected: yes"', `filename="${"n".repeat(4_000)}"`],
    least: { found: 0.4 },
    async check(name, note) {
      const body = `--B\r\nContent-Disposition: form-data; name="f"; ${name}\r\n\r\n${marker}\r\n--B--\r\n`;
      const headers = { "content-type": "multipart/form-data; boundary=B", "x-forwarded-for": "a", "x-request-id": "b" };
      const answer = await fetch(`${url}/v2/scan`, { method: "POST", body, headers });
      const text = await answer.text();
      const label = `${answer.status} ${JSON.stringify(text)} for ${JSON.stringify(name)}`;
      assert.ok([400, 406, 422].includes(answer.status), label);
      if (answer.status === 406) note("found");
      assert.equal(answer.headers.get("x-injected"), null, label);
      assert.doesNotMatch(text, /\p{Cc}/u, label);
      if (answer.headers.get("content-type")?.startsWith("application/json")) {
        const results: unknown = JSON.parse(text);
        assert.ok(Array.isArray(results) && results.length === 1, label);
      }
    },
  });
}

/** As encodeURIComponent, which takes no half of a surrogate pair. */
function encode(name: string): string {
  return encodeURIComponent(name.toWellFormed());
}
