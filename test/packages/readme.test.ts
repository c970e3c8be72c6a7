/** Every example of client/README.md, run as it stands there, in a directory where the packed library is installed. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type ScriptedClamd, startScriptedClamd } from "../client/scripted-clamd.ts";
import { freePort } from "../live/free-port.ts";
import { type Consumer, openConsumer } from "./consumer.ts";
import { repository } from "./packed.ts";

const run = promisify(execFile);

describe("client/README.md", () => {
  let consumer: Consumer;
  let clamd: ScriptedClamd;
  let examples: ReadonlyMap<string, string>;
  const tried = new Set<string>();
  const place = (name: string) => join(consumer.directory, name);
  before(async () => {
    consumer = await openConsumer();
    clamd = await startScriptedClamd();
    examples = await readExamples();
    await consumer.link(
      "express",
      "multer",
      "fastify",
      "@fastify",
      "@nestjs",
      "hono",
      "rxjs",
      "reflect-metadata",
      "typescript",
      "@types",
    );
    for (const [name, text] of examples) await writeFile(place(name), text);
  });
  after(async () => {
    await clamd[Symbol.asyncDispose]();
    await consumer[Symbol.asyncDispose]();
  });

  async function output(name: string, upload: string, url = clamd.url): Promise<string> {
    tried.add(name);
    await writeFile(place("upload.pdf"), upload);
    const env = { ...process.env, CLAMGATE_URL: url };
    const { stdout } = await run(process.execPath, [name], { cwd: consumer.directory, env });
    return stdout;
  }

  test("scans a file in five lines", async () => {
    assert.match(await output("scan.js", "fine"), /^allowed [0-9a-f]{64}\n$/);
    assert.equal(await output("scan.js", "a virus"), "blocked { kind: 'infected', signatures: [ 'A.Virus' ] }\n");
  });

  test("lets a stream pass, or not", async () => {
    await output("through.js", "fine");
    assert.equal(await readFile(place("accepted.pdf"), "utf8"), "fine");
    await rm(place("accepted.pdf"));
    await assert.rejects(output("through.js", "a virus"), /BlockedError: blocked: A\.Virus/);
    assert.equal(await readFile(place("accepted.pdf"), "utf8").catch(() => ""), "");
  });

  test("tells a blocked file from one without a verdict", async () => {
    assert.equal(await output("errors.js", "fine"), "accepted\n");
    assert.equal(await output("errors.js", "a virus"), "refused: blocked: A.Virus\n");
    assert.equal(await output("errors.js", "fine", "tcp://127.0.0.1:1"), "try again later: connection\n");
  });

  test("moves from clamscan", async () => {
    assert.equal(await output("moved.js", "fine"), "upload.pdf is clean\n");
    assert.equal(await output("moved.js", "a virus"), "upload.pdf has A.Virus\n");
  });

  const form = (...contents: readonly string[]) => {
    const made = new FormData();
    for (const [index, content] of contents.entries()) made.append("f", new File([content], `${index}.txt`));
    return made;
  };

  /** Two clean files, then one infected among three, then two clean ones with the clamd gone. */
  async function checkUploads(post: (body: FormData) => Promise<Response>, stop: () => PromiseLike<void>): Promise<void> {
    const allowed = await post(form("fine", "also fine"));
    assert.ok(allowed.ok, `${allowed.status} ${await allowed.clone().text()}`);
    assert.equal(((await allowed.json()) as unknown[]).length, 2);
    await emptyUploads();
    const blocked = await post(form("fine", "a virus", "also fine"));
    assert.equal(blocked.status, 422, await blocked.clone().text());
    assert.deepEqual(await readdir(place("uploads")), []);
    await stop();
    const failed = await post(form("fine", "also fine"));
    assert.deepEqual([failed.status, failed.headers.get("retry-after")], [503, "5"], await failed.clone().text());
    assert.deepEqual(await readdir(place("uploads")), []);
  }

  async function emptyUploads(): Promise<void> {
    await rm(place("uploads"), { recursive: true, force: true });
    await mkdir(place("uploads"));
  }

  // Aliases in package.json cannot bring an older NestJS: its packages find each other by their own names.
  const nest11 = Object.fromEntries(
    ["@nestjs", "reflect-metadata", "rxjs"].map((name) => [name, `test/runtimes/node_modules/${name}`]),
  );
  for (const [name, label, frameworks] of [
    ["express.js", "Express 5", { express: "node_modules/express" }],
    ["express.js", "Express 4", { express: "node_modules/express4" }],
    ["express-storage.js", "Express with a scanned storage", { express: "node_modules/express" }],
    ["fastify.js", "Fastify", {}],
    ["nest.ts", "NestJS 12", {}],
    ["nest.ts", "NestJS 11", nest11],
  ] as const) {
    test(`keeps blocked uploads from ${label}`, async () => {
      tried.add(name);
      await consumer.relink(frameworks);
      const program = name === "nest.ts" ? await compiled(name) : name;
      await emptyUploads();
      const own = await startScriptedClamd();
      const port = await freePort();
      const env = { ...process.env, CLAMGATE_URL: own.url, PORT: String(port) };
      const server = spawn(process.execPath, [program], { cwd: consumer.directory, env, stdio: "ignore" });
      try {
        await listening(port);
        const post = (body: FormData) => fetch(`http://127.0.0.1:${port}/up`, { method: "POST", body });
        await checkUploads(post, () => own[Symbol.asyncDispose]());
      } finally {
        server.kill();
        await once(server, "exit");
      }
    });
  }

  for (const [name, label] of [
    ["next-route.js", "a route handler of Next.js"],
    ["hono.js", "Hono"],
  ] as const) {
    test(`keeps blocked uploads from ${label}`, async () => {
      tried.add(name);
      await emptyUploads();
      const own = await startScriptedClamd();
      process.env.CLAMGATE_URL = own.url;
      const loaded = await import(pathToFileURL(place(name)).href);
      delete process.env.CLAMGATE_URL;
      const handle = (request: Request): Response | Promise<Response> =>
        name === "hono.js" ? loaded.default.fetch(request) : loaded.POST(request, {});
      await checkUploads(
        async (body) => handle(new Request("http://app/up", { method: "POST", body })),
        () => own[Symbol.asyncDispose](),
      );
    });
  }

  test("has no example that was not run", () => {
    assert.deepEqual([...tried].sort(), [...examples.keys()].sort());
  });

  /** As a NestJS project compiles it. */
  async function compiled(name: string): Promise<string> {
    const options = [
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--strict",
      "--experimentalDecorators",
      "--emitDecoratorMetadata",
    ];
    const types = ["--types", "node,multer", "--skipLibCheck", "--ignoreConfig"];
    await run(process.execPath, [join(repository, "node_modules/.bin/tsc"), ...options, ...types, name], {
      cwd: consumer.directory,
    }).catch(({ stdout }) => assert.fail(stdout));
    return name.replace(".ts", ".js");
  }
});

/** Each names its file in its first line. */
async function readExamples(): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(join(repository, "client/README.md"), "utf8");
  const blocks = [...text.matchAll(/^```(?:js|ts)\n(.+?)^```$/gms)].map(([, block = ""]) => block);
  return new Map(blocks.map((block) => [/^\/\/ (\S+)\n/.exec(block)?.[1] ?? block, block]));
}

async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await delay(100);
  }
}
