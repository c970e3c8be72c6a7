import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
// Before anything of NestJS.
import "reflect-metadata";
import { Controller, type DynamicModule, Module, Post, UploadedFiles, UseInterceptors } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FilesInterceptor } from "@nestjs/platform-express";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import multer from "multer";
import { blockUploads, scannedStorage } from "../../client/src/express.ts";
import { clamgate } from "../../client/src/fastify.ts";
import { type ScannedBodyEnv, scannedBody } from "../../client/src/hono.ts";
import { createScanner, type Scanner } from "../../client/src/index.ts";
import { ClamgateModule, CleanFilePipe } from "../../client/src/nest.ts";
import { withScannedForm } from "../../client/src/next.ts";
import { startRest } from "../front/rest/rest-server.ts";
import { type ScriptedClamd, startScriptedClamd } from "./scripted-clamd.ts";

/** Its types are those of Express 5 here: what the adapter needs of it is alike. */
const express4: typeof express = createRequire(import.meta.url)("express4");

const form = (...contents: readonly string[]) => {
  const made = new FormData();
  for (const [index, content] of contents.entries()) made.append("f", new File([content], `${index}.txt`));
  return made;
};
const fine = () => form("fine", "also fine");
const oneBad = () => form("fine", "a virus", "also fine");

/** As Express does by itself, which writes it to the console too. */
function answerError(
  error: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> },
  _request: express.Request,
  response: express.Response,
  _next: express.NextFunction,
): void {
  response
    .status(error.status ?? 500)
    .set(error.headers)
    .json(String(error));
}

describe("adapters", () => {
  let clamd: ScriptedClamd;
  let scanner: Scanner;
  let away: Scanner;
  let stopped: string;
  let directory: string;
  before(async () => {
    clamd = await startScriptedClamd();
    scanner = createScanner(clamd.url);
    stopped = await stoppedGateway();
    away = createScanner(stopped, { retries: 0 });
    directory = await mkdtemp(join(tmpdir(), "adapters-"));
  });
  after(async () => {
    await clamd[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  /** It has scanned, and is there no more (L11); client/README.md's examples are run with a clamd gone. */
  async function stoppedGateway(): Promise<string> {
    await using gateway = await startRest();
    assert.ok((await createScanner(gateway.url).scan(Buffer.from("fine"))).allowed);
    return gateway.url;
  }

  async function served<T>(server: Server, ask: (url: string) => Promise<T>): Promise<T> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      return await ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}/up`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  async function post(
    url: string,
    body: FormData,
  ): Promise<{ readonly status: number; readonly text: string; readonly retryAfter: string | null }> {
    const response = await fetch(url, { method: "POST", body });
    return { status: response.status, text: await response.text(), retryAfter: response.headers.get("retry-after") };
  }

  for (const [name, framework, storage] of [
    ["Express 5", express, "memory"],
    ["Express 5", express, "disk"],
    ["Express 4", express4, "disk"],
  ] as const) {
    test(`${name} with multer in ${storage}: only allowed files reach the handler, and none stays behind`, async () => {
      let handled = 0;
      const { createServer } = await import("node:http");
      const appWith = (used: Scanner) => {
        const app = framework();
        const upload = multer(storage === "disk" ? { dest: directory } : {});
        app.post("/up", upload.array("f"), blockUploads(used), (request, response) => {
          handled += 1;
          response.json((request.scans ?? []).map(({ name }) => name));
        });
        return createServer(app);
      };
      const allowed = await served(appWith(scanner), (url) => post(url, fine()));
      assert.deepEqual([allowed.status, allowed.text, handled], [200, '["0.txt","1.txt"]', 1]);
      for (const name of await readdir(directory)) await rm(join(directory, name));
      const blocked = await served(appWith(scanner), (url) => post(url, oneBad()));
      assert.deepEqual([blocked.status, JSON.parse(blocked.text).files[0].name, handled], [422, "1.txt", 1]);
      const failed = await served(appWith(away), (url) => post(url, fine()));
      assert.deepEqual([failed.status, failed.retryAfter, handled], [503, "5", 1]);
      assert.deepEqual(await readdir(directory), []);
    });
  }

  test("Express with scannedStorage: the inner storage never sees a blocked file", async () => {
    const { createServer } = await import("node:http");
    const appWith = (used: Scanner) => {
      const app = express();
      const upload = multer({ storage: scannedStorage(used, multer.diskStorage({ destination: directory })) });
      app.post("/up", upload.array("f"), (_request, response) => void response.json("stored"));
      return createServer(app.use(answerError));
    };
    assert.equal((await served(appWith(scanner), (url) => post(url, fine()))).status, 200);
    for (const name of await readdir(directory)) await rm(join(directory, name));
    assert.equal((await served(appWith(scanner), (url) => post(url, oneBad()))).status, 422);
    const failed = await served(appWith(away), (url) => post(url, fine()));
    assert.deepEqual([failed.status, failed.retryAfter], [503, "5"]);
    assert.deepEqual(await readdir(directory), []);
  });

  test("Fastify: files come once all of them are allowed", async () => {
    let given = 0;
    const appWith = async (used: Scanner) => {
      const app = Fastify();
      await app.register(clamgate, { scanner: used });
      app.post("/up", async (request) => {
        const told: string[] = [];
        for await (const { name, file } of request.scannedFiles()) {
          given += 1;
          told.push(`${name}: ${(await buffer(file)).toString()}`);
        }
        return told;
      });
      return app;
    };
    const app = await appWith(scanner);
    const allowed = await served(app.server, async (url) => {
      await app.ready();
      return post(url, fine());
    });
    assert.deepEqual([allowed.status, allowed.text], [200, '["0.txt: fine","1.txt: also fine"]']);
    const blocking = await appWith(scanner);
    await blocking.ready();
    const blocked = await served(blocking.server, (url) => post(url, oneBad()));
    assert.deepEqual([blocked.status, given], [422, 2]);
    const failing = await appWith(away);
    await failing.ready();
    const failed = await served(failing.server, (url) => post(url, fine()));
    assert.deepEqual([failed.status, failed.retryAfter, given], [503, "5", 2]);
  });

  test("Next.js: the handler gets the form, its files scanned", async () => {
    let handled = 0;
    const handlerWith = (used: Scanner) =>
      withScannedForm(used, async (form, { reports }) => {
        handled += 1;
        return Response.json([form.getAll("f").length, reports.length]);
      });
    const request = (body: FormData | string) => new Request("http://app/up", { method: "POST", body });
    const allowed = await handlerWith(scanner)(request(fine()), {});
    assert.deepEqual([allowed.status, await allowed.json(), handled], [200, [2, 2], 1]);
    assert.equal((await handlerWith(scanner)(request(oneBad()), {})).status, 422);
    const failed = await handlerWith(away)(request(fine()), {});
    assert.deepEqual([failed.status, failed.headers.get("retry-after")], [503, "5"]);
    assert.equal((await handlerWith(scanner)(request("no form"), {})).status, 400);
    assert.equal(handled, 1);
  });

  test("Hono: forms and raw bodies are scanned, and still there for the handler", async () => {
    const appWith = (used: Scanner) => {
      const app = new Hono<ScannedBodyEnv>();
      app.post("/up", scannedBody(used), async (context) => {
        const isForm = (context.req.header("content-type") ?? "").startsWith("multipart/");
        const size = isForm ? (await context.req.formData()).getAll("f").length : (await context.req.arrayBuffer()).byteLength;
        return context.json([size, context.get("reports").length]);
      });
      return app;
    };
    const ask = (app: Hono<ScannedBodyEnv>, body: FormData | string) => app.request("/up", { method: "POST", body });
    assert.deepEqual(await (await ask(appWith(scanner), fine())).json(), [2, 2]);
    assert.deepEqual(await (await ask(appWith(scanner), "raw text")).json(), [8, 1]);
    assert.equal((await ask(appWith(scanner), oneBad())).status, 422);
    assert.equal((await ask(appWith(scanner), "a virus")).status, 422);
    for (const body of [fine(), "raw text"]) {
      const failed = await ask(appWith(away), body);
      assert.deepEqual([failed.status, failed.headers.get("retry-after")], [503, "5"]);
    }
  });

  test("NestJS: only allowed files reach the handler of a real server, and none stays behind", async () => {
    let handled = 0;
    class Uploads {
      up(files: readonly { readonly originalname: string }[]): readonly string[] {
        handled += 1;
        return files.map(({ originalname }) => originalname);
      }
    }
    const method = Object.getOwnPropertyDescriptor(Uploads.prototype, "up");
    assert.ok(method);
    UploadedFiles(CleanFilePipe)(Uploads.prototype, "up", 0);
    UseInterceptors(FilesInterceptor("f", 10, { dest: directory }))(Uploads.prototype, "up", method);
    Post("up")(Uploads.prototype, "up", method);
    Controller()(Uploads);
    const serverWith = async (clamgateModule: DynamicModule) => {
      class App {}
      Module({ imports: [clamgateModule], controllers: [Uploads] })(App);
      const app = await NestFactory.create(App, { logger: false });
      await app.init();
      return app.getHttpServer();
    };
    const target = clamd.url;
    const allowed = await served(await serverWith(ClamgateModule.forRoot({ target })), (url) => post(url, fine()));
    assert.deepEqual([allowed.status, allowed.text, handled], [201, '["0.txt","1.txt"]', 1]);
    for (const name of await readdir(directory)) await rm(join(directory, name));
    const later = ClamgateModule.forRootAsync({ useFactory: async () => ({ target }) });
    const blocked = await served(await serverWith(later), (url) => post(url, oneBad()));
    assert.deepEqual([blocked.status, JSON.parse(blocked.text).files[0].name, handled], [422, "1.txt", 1]);
    const gone = ClamgateModule.forRoot({ target: stopped, retries: 0 });
    const failed = await served(await serverWith(gone), (url) => post(url, fine()));
    assert.deepEqual([failed.status, failed.retryAfter, handled], [503, "5", 1]);
    assert.deepEqual(await readdir(directory), []);
  });

  test("NestJS: the pipe passes allowed files and throws for others", async () => {
    const file = (text: string) => ({ fieldname: "f", originalname: "a.txt", buffer: Buffer.from(text) });
    const good = file("fine");
    assert.equal(await new CleanFilePipe(scanner).transform(good), good);
    assert.equal(await new CleanFilePipe(scanner).transform(undefined), undefined);
    const statusOf = (error: { getStatus(): number }) => error.getStatus();
    await assert.rejects(
      new CleanFilePipe(scanner).transform([good, file("a virus")]),
      (error: never) => statusOf(error) === 422,
    );
    await assert.rejects(new CleanFilePipe(away).transform(good), (error: never) => statusOf(error) === 503);
  });
});
