import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCarriedField, parseForwardedField } from "../../src/codec/field-name.ts";

describe("parseForwardedField", () => {
  for (const name of ["Cookie", "X-Token", "Accept", "user-agent", "Referer"])
    test(`takes ${name}`, () => assert.equal(parseForwardedField(name), name.toLowerCase()));
  const ours = [
    "Host",
    "Range",
    "If-Range",
    "Accept-Encoding",
    "Via",
    "Expect",
    "A-IM",
    "Download-From",
    "Cache-Scan",
    "Max-Forwards",
  ];
  const hop = [
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Proxy-Authorization",
    "HTTP2-Settings",
  ];
  const side = [
    "X-Forwarded-For",
    "Forwarded",
    "X-Real-IP",
    "X-Clamgate-X",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
  ];
  for (const name of [...ours, ...hop, ...side, "", "a b", "a:", "\xe9", "a\r\nb"])
    test(`refuses ${JSON.stringify(name)}`, () => assert.equal(parseForwardedField(name), null));
});

describe("parseCarriedField", () => {
  for (const name of ["X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size"])
    test(`takes ${name}`, () => assert.equal(parseCarriedField(name), name.toLowerCase()));
  const ofOne = ["Location", "ETag", "Last-Modified", "Content-Length", "Content-Encoding", "Set-Cookie", "Via", "Accept-Ranges"];
  for (const name of [...ofOne, "Transfer-Encoding", "Connection", "X-Clamgate-Verdict", "", "a b"])
    test(`refuses ${JSON.stringify(name)}`, () => assert.equal(parseCarriedField(name), null));
});
