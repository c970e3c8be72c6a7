import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { head, keep, ok } from "../../fake/origin.ts";
import { ask, requestText } from "../../front/proxy/raw-client.ts";
import { freePort } from "../../live/free-port.ts";
import { type LiveNginx, startNginx } from "../../live/nginx.ts";
import { eicar, unknownBytes } from "../samples.ts";
import { type DownloadStage, type NginxFront, openDownloads, startNginxFront } from "./proxy-stage.ts";

describe("nginx in front", () => {
  let stage: DownloadStage;
  let own: NginxFront;
  let plain: LiveNginx;
  let ports: Readonly<Record<string, number>>;

  before(async () => {
    stage = await openDownloads();
    own = await startNginxFront(stage.gateway, stage.base, "True");
    const port = await freePort();
    // As templates for clamav-proxy are: HTTP/1.0 to the gateway, a path behind its name, nothing but the two headers.
    plain = await startNginx(
      `server { listen 127.0.0.1:${port}; location / {
        proxy_pass http://127.0.0.1:${stage.gateway.proxyPort}/;
        proxy_set_header Download-From ${stage.base};
        proxy_set_header Cache-Scan True;
      } }`,
      [port],
    );
    ports = { "our template": own.port, "a template for clamav-proxy": port };
  });
  after(async () => {
    await plain[Symbol.asyncDispose]();
    await own[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });

  const through = (port: number, path: string, lines: readonly string[] = [], method = "GET") =>
    ask(port, requestText(path, lines, { method }));

  for (const name of ["our template", "a template for clamav-proxy"]) {
    const port = () => ports[name] ?? 0;

    test(`delivers what is clean and refuses what is not, with ${name}`, async () => {
      const { bytes } = unknownBytes(300_000);
      stage.files.set("/a/clean.bin", () => ok(bytes, "Content-Type: application/x-a"));
      stage.files.set("/a/virus.bin", () => ok(eicar.bytes));
      for (let turn = 0; turn < 2; turn += 1) {
        const clean = await through(port(), "/a/clean.bin");
        assert.deepEqual([clean.status, clean.header("content-type"), clean.isWhole], [200, "application/x-a", true]);
        assert.ok(clean.body.equals(bytes));
        const virus = await through(port(), "/a/virus.bin");
        assert.deepEqual([virus.status, virus.header("content-length")], [409, "44"]);
        assert.equal(virus.body.toString(), '{"detail":"This resource contains a virus!"}');
      }
    });

    test(`passes the origin's status on, with ${name}`, async () => {
      const not =
        (status: number, ...lines: string[]) =>
        () =>
          keep(head(status, "Content-Length: 4", ...lines), "text");
      stage.files.set("/401", not(401, 'WWW-Authenticate: Basic realm="a b"'));
      for (const status of [403, 410, 429, 500]) stage.files.set(`/${status}`, not(status, "Retry-After: 7"));
      stage.files.set("/304", () => keep(head(304, 'ETag: "x"')));
      for (const status of [401, 403, 404, 410, 429, 500]) {
        const answer = await through(port(), `/${status}`);
        assert.equal(answer.status, status);
        assert.equal(answer.body.toString(), status === 404 ? "not found" : "text");
        if (status === 401) assert.equal(answer.header("www-authenticate"), 'Basic realm="a b"');
        if (status === 429) assert.equal(answer.header("retry-after"), "7");
      }
      assert.equal((await through(port(), "/304", ['If-None-Match: "x"'])).status, 304);
    });

    test(`refuses what is no download, with ${name}`, async () => {
      const posted = await through(port(), "/a/clean.bin", ["Content-Length: 0"], "POST");
      assert.deepEqual([posted.status, posted.body.toString()], [405, '{"detail":"Method Not Allowed"}']);
    });
  }

  test("is not commanded by an origin", async () => {
    const commands = ["X-Accel-Redirect: /secret", "X-Accel-Expires: 1000", "X-Accel-Limit-Rate: 1", "X-Sendfile: /etc/passwd"];
    stage.files.set("/commands", () => ok("a file", ...commands));
    for (const port of Object.values(ports)) {
      const answer = await through(port, "/commands");
      assert.deepEqual([answer.status, answer.body.toString()], [200, "a file"]);
      for (const [name] of answer.lines) assert.doesNotMatch(name, /^x-(accel|sendfile)/i);
    }
  });

  test("passes the path on as the client wrote it, with our template", async () => {
    for (const path of [
      "/@a%2fb",
      "/a%20b%3Fc?d=%2F&e=+;f",
      "/a//b",
      "/a%23b",
      "/a:b/c",
      "/%7Euser",
      "/?X-Amz-Signature=a%2Bb",
    ]) {
      await through(own.port, path);
      assert.equal(stage.origin.requests.at(-1)?.path, path);
    }
  });
});
