/** The readers of Node and npm: forms, content codings, downloads. One request a line, one answer a line, as reader-process.ts has it. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { PassThrough, Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { Busboy as FastifyBusboy } from "@fastify/busboy";
import axios from "axios";
import Busboy from "busboy";
import formidable, { multipart } from "formidable";
import multer from "multer";
import { Form as MultipartyForm } from "multiparty";
import nodeFetch from "node-fetch";
import { fetch as undiciFetch } from "undici";

const require = createRequire(import.meta.url);
// A parser's own, thrown into nowhere: what it had seen counts.
process.on("uncaughtException", () => {});
const npmDirectory = process.argv[2];
const npmRequire = npmDirectory ? createRequire(`${npmDirectory}/package.json`) : null;
const minipassFetch = npmRequire?.("minipass-fetch");

/** Given garbage, some never say that they are done. */
const patienceMs = 2_000;

const forms = {
  busboy: (type, body, files) => throughBusboy(Busboy({ headers: { "content-type": type } }), body, files),
  "@fastify/busboy": (type, body, files) => throughBusboy(new FastifyBusboy({ headers: { "content-type": type } }), body, files),
  formidable(type, body, files) {
    const form = formidable({
      allowEmptyFiles: true,
      minFileSize: 0,
      enabledPlugins: [multipart],
      fileWriteStreamHandler: () => collector(files),
    });
    return form.parse(requestOf(type, body));
  },
  async multiparty(type, body, files) {
    const form = new MultipartyForm();
    const reads = [];
    form.on("part", (part) => {
      part.on("error", () => {}); // the form's own, heard below
      if (part.filename === undefined) part.resume();
      else reads.push(part.pipe(collector(files)));
    });
    await new Promise((resolve, reject) => {
      form.on("close", resolve).on("error", reject).parse(requestOf(type, body));
    });
  },
  async multer(type, body, files) {
    const request = requestOf(type, body);
    await new Promise((resolve) => multer({ storage: multer.memoryStorage() }).any()(request, {}, resolve));
    for (const { buffer: bytes } of request.files ?? []) files.push([bytes ?? Buffer.alloc(0)]);
  },
  async "Node's formData"(type, body, files) {
    const form = await new Response(body, { headers: { "content-type": type } }).formData();
    for (const value of form.values()) if (typeof value !== "string") files.push([Buffer.from(await value.arrayBuffer())]);
  },
};

const lenient = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
const lenientBrotli = { finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH };
const lenientZstd = { finishFlush: zlib.constants.ZSTD_e_flush };
const unzip = {
  gzip: [(bytes) => promisify(zlib.gunzip)(bytes, lenient)],
  compress: [(bytes) => promisify(zlib.unzip)(bytes, lenient)],
  deflate: [(bytes) => promisify(zlib.inflate)(bytes, lenient), (bytes) => promisify(zlib.inflateRaw)(bytes, lenient)],
  br: [(bytes) => promisify(zlib.brotliDecompress)(bytes, lenientBrotli)],
  zstd: [(bytes) => promisify(zlib.zstdDecompress)(bytes, lenientZstd)],
};

const fetches = {
  "Node's fetch": async (url, headers) => Buffer.from(await (await fetch(url, { headers })).arrayBuffer()),
  undici: async (url, headers) => Buffer.from(await (await undiciFetch(url, { headers })).arrayBuffer()),
  "node-fetch": async (url, headers) => Buffer.from(await (await nodeFetch(url, { headers })).arrayBuffer()),
  axios: async (url, headers) => Buffer.from((await axios.get(url, { headers, responseType: "arraybuffer", proxy: false })).data),
  "npm's fetch": minipassFetch && (async (url, headers) => await (await minipassFetch(url, { headers })).buffer()),
};

const versionOf = (name, from = require) => {
  try {
    return from(`${name}/package.json`).version;
  } catch {
    return manifestBeside(from.resolve(name)).version; // it does not export its manifest
  }
};
const versions = {
  form: {
    busboy: versionOf("busboy"),
    "@fastify/busboy": versionOf("@fastify/busboy"),
    formidable: versionOf("formidable"),
    multiparty: versionOf("multiparty"),
    multer: versionOf("multer"),
    "Node's formData": process.version,
  },
  coding: { "Node's zlib": process.version },
  download: {
    "Node's fetch": process.version,
    undici: versionOf("undici"),
    "node-fetch": versionOf("node-fetch"),
    axios: versionOf("axios"),
    "npm's fetch": npmRequire === null ? null : versionOf("minipass-fetch", npmRequire),
  },
};

const answers = {
  form: (type, body) =>
    fromEach(forms, async (parse) => {
      const files = [];
      // A refusal: what it had seen counts.
      const parsed = (async () => parse(type, body, files))().catch(() => {});
      await Promise.race([parsed, sleep(patienceMs, null, { ref: false })]);
      return files.map((chunks) => Buffer.concat(chunks));
    }),
  coding: async (names, body) => fromEach({ "Node's zlib": decoded }, (undo) => undo(names.split(",").map(plainName), body)),
  download: (url, headers) =>
    fromEach(fetches, async (get) => {
      const got = (async () => get?.(url, JSON.parse(headers)) ?? null)().catch(() => null);
      const bytes = await Promise.race([got, sleep(10_000, null, { ref: false })]);
      return bytes === null ? [] : [bytes];
    }),
};

console.log(JSON.stringify(versions));
for await (const line of createInterface({ input: process.stdin })) {
  const [word, first, second] = line.split(" ");
  const what = Buffer.from(first, "base64").toString("latin1");
  const body = Buffer.from(second, "base64");
  const answer = answers[word](what, word === "download" ? body.toString("latin1") : body);
  // A fault of this program's own ends it, and is heard.
  console.log(JSON.stringify(await answer.catch(() => process.exit(1))));
}

/** What each has taken out, all of them at work at the same time. */
async function fromEach(readers, take) {
  const entries = Object.entries(readers).map(async ([name, reader]) => {
    const files = await take(reader);
    return [name, files.map((bytes) => bytes.toString("base64"))];
  });
  return Object.fromEntries(await Promise.all(entries));
}

function requestOf(type, body) {
  const request = Readable.from([body]);
  const piped = request.pipe(new PassThrough());
  piped.headers = { "content-type": type, "content-length": String(body.length) };
  piped.method = "POST";
  return piped;
}

function throughBusboy(parser, body, files) {
  parser.on("file", (_name, stream) => {
    stream.on("error", () => {}); // the parser's own, heard below
    stream.pipe(collector(files));
  });
  return new Promise((resolve) => {
    parser.on("error", resolve).on("finish", resolve).on("close", resolve);
    parser.end(body);
  });
}

function collector(files) {
  const chunks = [];
  files.push(chunks);
  return new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
}

function plainName(name) {
  return name.trim().toLowerCase().replace(/^x-/, "");
}

/** Everything that undoing the codings from the last to the first may yield; a name that is not known is passed over. */
async function decoded(names, body) {
  let yields = [body];
  for (const name of names.toReversed()) {
    const next = [];
    for (const bytes of yields)
      for (const undo of unzip[name] ?? [async (same) => same]) next.push(await undo(bytes).catch(() => null));
    yields = next.filter((bytes) => bytes !== null);
  }
  return yields;
}

function manifestBeside(entry) {
  for (let at = entry; at !== "/"; at = at.slice(0, at.lastIndexOf("/")) || "/")
    try {
      const manifest = JSON.parse(readFileSync(`${at}/package.json`, "utf8"));
      if (manifest.version) return manifest;
    } catch {
      // no manifest there
    }
  return { version: null };
}
