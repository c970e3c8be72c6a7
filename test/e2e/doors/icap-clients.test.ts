/** c-icap-client, and Nextcloud's, ownCloud's and OpenCloud's ways of asking, before a gateway with a real clamd; with TLS and without. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { reset, startFakeClamd } from "../../fake/clamd.ts";
import { type Answer, chunked, onSocket, rawIcap, reqmod, respmod } from "../../front/icap/raw-icap.ts";
import { eicarName } from "../../live/clamd.ts";
import { zip } from "../../live/zip.ts";
import { eventually } from "../../process/stage.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { makeCertificate } from "../certificate.ts";
import { eicar } from "../samples.ts";
import { startIcapGateway } from "./icap-stage.ts";

async function run(args: readonly string[]): Promise<string> {
  const child = spawn("c-icap-client", args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  child.stderr.on("data", (chunk) => {
    text += chunk;
  });
  await once(child, "close");
  return text;
}

describe("c-icap-client", () => {
  test("is told what is served, what is clean and what is not, with TLS and without (1, 9, 13, 49)", async () => {
    await using opened = new AsyncDisposableStack();
    const directory = opened.use(await scratchDirectory());
    const { cert, key } = await makeCertificate(directory.path);
    const gateway = await startIcapGateway(opened, { ICAP_SSL_PORT: "0", SSL_CERT: cert, SSL_KEY: key });
    await gateway.ready();
    const evil = join(directory.path, "eicar");
    await writeFile(evil, eicar.bytes);
    for (const [name, to] of [
      ["plain", ["-i", "127.0.0.1", "-p", String(gateway.icapPort)]],
      ["tls", ["-i", "127.0.0.1", "-p", String(gateway.icapsPort), "-tls", "-tls-no-verify"]],
    ] as const) {
      const options = await run([...to, "-s", "srv_clamav"]);
      assert.match(options, /Allow 204: Yes\n\s*Allow 206: No\n\s*Preview: 4096\n/, name);
      for (const size of [10, 5000, 200_000]) {
        const [file, out] = [`${name}-${size}`, `${name}-${size}.out`].map((one) => join(directory.path, one));
        const bytes = randomBytes(size);
        await writeFile(file ?? "", bytes);
        const allowed = await run([...to, "-s", "avscan", "-f", file ?? "", "-o", `${out}204`, "-v"]);
        assert.match(allowed, /No modification needed \(Allow 204 response\)/, allowed);
        await run([...to, "-s", "avscan", "-f", file ?? "", "-o", out ?? "", "-nopreview", "-no204"]);
        assert.deepEqual(await readFile(out ?? ""), bytes, `${name}, ${size} bytes come back`);
      }
      const blocked = await run([...to, "-s", "avscan", "-f", evil, "-v"]);
      assert.match(blocked, new RegExp(`X-Virus-ID: ${eicarName}`), blocked);
      assert.match(blocked, /HTTP\/1\.1 403 Forbidden/);
      const request = await run([...to, "-s", "avscan", "-req", "http://o.example/up", "-f", evil, "-v"]);
      assert.match(request, new RegExp(`X-Virus-ID: ${eicarName}`), request);
    }
  });
});

describe("TLS", () => {
  test("is only for clients with a certificate where there is an authority, and takes up renewed files (49)", async () => {
    await using opened = new AsyncDisposableStack();
    const directory = opened.use(await scratchDirectory());
    const [serving, trusted, foreign] = await Promise.all(
      ["serving", "trusted", "foreign"].map(async (name) => {
        const path = join(directory.path, name);
        await mkdir(path);
        return await makeCertificate(path, name);
      }),
    );
    if (serving === undefined || trusted === undefined || foreign === undefined) assert.fail("no certificates");
    const authority = join(directory.path, "ca.crt");
    await cp(trusted.cert, authority);
    const env = { ICAP_SSL_PORT: "0", SSL_CERT: serving.cert, SSL_KEY: serving.key, ICAP_CLIENT_CA: authority };
    const gateway = await startIcapGateway(opened, { ...env, CLAMD_PORT: "tcp://127.0.0.1:9" });
    const read = (path: string) => readFile(path, "utf8");
    const asked = async (own: { readonly cert: string; readonly key: string } | null): Promise<string> => {
      const material = own === null ? {} : { cert: await read(own.cert), key: await read(own.key) };
      const socket = connectTls({ port: gateway.icapsPort, host: "127.0.0.1", rejectUnauthorized: false, ...material });
      using client = onSocket(socket);
      await client.send("OPTIONS icaps://h/avscan ICAP/1.0\r\n\r\n");
      const answer = await client.answerOrEnd();
      return answer === null ? "refused" : nameOf(socket);
    };
    assert.equal(await asked(trusted), "serving");
    assert.equal(await asked(foreign), "refused");
    assert.equal(await asked(null), "refused");
    assert.equal(await gateway.metric('clamgate_icap_connections_refused_total{reason="tls"}'), 2);
    await cp(foreign.cert, authority);
    gateway.signal("SIGHUP");
    await gateway.line("the TLS certificate was renewed");
    assert.equal(await asked(foreign), "serving");
    assert.equal(await asked(trusted), "refused");
    // A reset over TLS is one of TCP: nobody takes it for an end.
    const socket = connectTls({
      port: gateway.icapsPort,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      cert: await read(foreign.cert),
      key: await read(foreign.key),
    });
    using client = onSocket(socket);
    await client.send(respmod({ body: "-1\r\n" }));
    assert.equal(await client.ended(), "reset");
  });
});

function nameOf(socket: TLSSocket): string {
  const { CN } = socket.getPeerCertificate().subject;
  return String(CN);
}

describe("applications", () => {
  test("read the answers as they do (15, 17, 20)", async () => {
    await using opened = new AsyncDisposableStack();
    const gateway = await startIcapGateway(opened);
    await gateway.ready();
    const ask = async (request: string): Promise<{ readonly text: string; readonly answer: Answer }> => {
      using client = rawIcap(gateway.icapPort);
      await client.send(Buffer.from(request, "latin1"));
      const answer = await client.answer();
      assert.equal(await client.ended(), "fin");
      return { text: client.received().toString("latin1"), answer };
    };
    const evil = eicar.bytes.toString("latin1");
    const put = "PUT /file.txt HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";

    // Nextcloud, REQMOD: no Content-Length, an ICAP-level Transfer-Encoding, an empty X-Client-IP.
    const nextcloud = (body: string) =>
      `REQMOD icap://127.0.0.1/avscan ICAP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: NC-ICAP-CLIENT/0.5.0\r\nAllow: 204\r\nX-Client-IP: \r\n` +
      `Transfer-Encoding: chunked\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=${put.length}\r\n\r\n${put}${chunked(body)}`;
    assert.match((await ask(nextcloud("clean"))).text, /^ICAP\/1\.0 204 No Content\r\n/);
    const { text } = await ask(nextcloud(evil));
    assert.match(text, /^ICAP\/1\.0 200 OK\r\n/);
    assert.match(text, /^X-Infection-Found: .*$/m);
    assert.match(text, /^X-Virus-ID: \S+\r$/m);
    assert.match(text, /HTTP\/1\.1 403 Forbidden/);

    // ownCloud stops at Encapsulated, and looks for its header before.
    const head = text.slice(0, text.indexOf("Encapsulated"));
    assert.match(head, /\r\nX-Infection-Found: /);

    // oCIS and OpenCloud: two blanks, and bytes that end in CRLFCRLF are a whole answer.
    const length = `PUT http://127.0.0.1/f HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${evil.length}\r\n\r\n`;
    const ocis = `REQMOD icap://127.0.0.1/avscan ICAP/1.0\r\nAllow: 204\r\nPreview: 4096\r\nConnection: close\r\nEncapsulated:  req-hdr=0, req-body=${length.length}\r\n\r\n`;
    const found = await ask(`${ocis}${length}${chunked(evil, "0; ieof")}`);
    assert.ok(found.text.endsWith("\r\n\r\n"));
    assert.equal(found.answer.field("X-Infection-Found"), `Type=0; Resolution=2; Threat=${eicarName};`);

    // rspamd: RESPMOD of a bare body; it wants RESPMOD among the methods.
    const rspamd = await ask(
      `RESPMOD icap://127.0.0.1/scan ICAP/1.0\r\nHost:127.0.0.1\r\nAllow: 204\r\nConnection: close\r\nEncapsulated: res-body=0\r\n\r\n${chunked(evil)}`,
    );
    assert.equal(rspamd.answer.field("X-Virus-Name"), eicarName);

    // A large file, all of it written before anything is read.
    const large = await ask(nextcloud("x".repeat(26 * 1024 * 1024)));
    assert.equal(large.answer.field("X-Infection-Found"), "Type=2; Resolution=2; Threat=Heuristics.Clamgate.TooLarge;");
  });

  test("have the zip in a form found (43), and are told nothing that is clean when clamd dies of each scan (24)", async () => {
    await using opened = new AsyncDisposableStack();
    const gateway = await startIcapGateway(opened);
    await gateway.ready();
    const part = 'Content-Disposition: form-data; name="f"; filename="a.zip"\r\nContent-Type: application/zip';
    const archive = zip([{ name: "eicar", bytes: eicar.bytes }]).toString("latin1");
    const form = `--b\r\n${part}\r\n\r\n${archive}\r\n--b--\r\n`;
    const requestHead = `POST http://o/ HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${form.length}\r\n\r\n`;
    using uploading = rawIcap(gateway.icapPort);
    await uploading.send(Buffer.from(reqmod({ fields: "Allow: 204\r\n", requestHead, body: chunked(form) }), "latin1"));
    assert.equal((await uploading.answer()).field("X-Virus-ID"), eicarName);

    const dying = opened.use(await startFakeClamd({ scan: () => reset() }));
    const other = await startIcapGateway(opened, {
      CLAMD_PORT: `tcp://127.0.0.1:${dying.address.port}`,
      QUEUE_TIMEOUT: "3s",
      ICAP_ON_ERROR: "reset,proxy=page,told=status",
    });
    await other.ready();
    for (const service of ["avscan", "told", "proxy"]) {
      using client = rawIcap(other.icapPort);
      await client.send(respmod({ service, fields: "Allow: 204\r\n", body: chunked(`clean ${service}`) }));
      const answer = await client.answerOrEnd();
      if (service === "avscan") assert.equal(answer, null);
      if (service === "told") assert.equal(answer?.status, 503);
      if (service === "proxy") assert.match(answer?.httpHead ?? "", /^HTTP\/1\.1 503 /);
    }
  });

  test("see no error while signatures are loaded anew (57)", async () => {
    await using opened = new AsyncDisposableStack();
    const gateway = await startIcapGateway(opened);
    await gateway.ready();
    const database = await databaseOf(gateway.pid);
    let isOver = false;
    let asked = 0;
    const work = async (worker: number) => {
      using client = rawIcap(gateway.icapPort);
      for (let turn = 0; !isOver; turn += 1) {
        const isEvil = turn % 5 === 0;
        const body = `${worker}-${turn} ${isEvil ? eicar.bytes.toString("latin1") : "clean"}`;
        await client.send(respmod({ fields: "Allow: 204\r\n", body: chunked(body) }));
        const answer = await client.answer();
        assert.equal(answer.status, isEvil ? 200 : 204);
        if (isEvil) assert.equal(answer.field("X-Virus-ID"), eicarName);
        asked += 1;
      }
    };
    const working = Promise.all(Array.from({ length: 8 }, (_, worker) => work(worker)));
    const tagOf = async () => {
      using client = rawIcap(gateway.icapPort);
      await client.send("OPTIONS /x ICAP/1.0\r\nConnection: close\r\n\r\n");
      return (await client.answer()).field("ISTag");
    };
    const before = await tagOf();
    await writeFile(join(database, "more.ndb"), "Clamgate.Test.More:0:*:6d6f7265206f6620746865207361 6d65".replaceAll(" ", ""));
    gateway.signal("SIGHUP");
    try {
      await eventually("the new signatures are in use", async () => (await tagOf()) !== before);
      await delay(200);
    } finally {
      isOver = true;
      await working;
    }
    assert.ok(asked > 50, `${asked} were asked`);
  });
});

async function databaseOf(pid: number): Promise<string> {
  const environment = await readFile(`/proc/${pid}/environ`, "utf8");
  return /(?:^|\0)DATABASE_DIRECTORY=([^\0]+)/.exec(environment)?.[1] ?? assert.fail("no directory");
}
