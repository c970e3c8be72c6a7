/** The programs that the documents show, as they are written there: each says clean, blocked or not scanned. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { listening } from "../listening.ts";
import { scratchDirectory } from "../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { eicar } from "./samples.ts";

interface Language {
  readonly name: string;
  readonly document: string;
  readonly fence: string;
  readonly file: string;
  readonly command: readonly string[];
}

const languages: readonly Language[] = [
  { name: "Python", document: "README.md", fence: "python", file: "scan.py", command: ["/usr/bin/python3"] },
  { name: "JavaScript", document: "README.md", fence: "js", file: "scan.mjs", command: [process.execPath] },
  { name: "Java", document: "docs/rest.md", fence: "java", file: "Scan.java", command: ["/usr/bin/java"] },
  { name: "PHP", document: "docs/rest.md", fence: "php", file: "scan.php", command: ["/usr/bin/php"] },
  { name: "Go", document: "docs/rest.md", fence: "go", file: "scan.go", command: ["/usr/bin/go", "run"] },
];

const root = new URL("../../", import.meta.url).pathname;
const written = "http://localhost:9000";

describe("a program from the documents", () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startGatewayProcess();
    await gateway.ready();
  });
  after(() => gateway[Symbol.asyncDispose]());

  // Python and JavaScript are always there; the others where somebody has installed them.
  for (const language of languages.filter(({ command: [program = ""] }) => existsSync(program))) {
    test(`in ${language.name} takes 200 alone for clean`, async () => {
      assert.deepEqual(await runAgainst(gateway.url, language, Buffer.from("harmless")), { output: "clean", isDone: true });
      const found = await runAgainst(gateway.url, language, eicar.bytes);
      assert.match(found.output, /^blocked: .*Eicar/);
      await using unable = await answering(503);
      const refused = await runAgainst(unable.url, language, Buffer.from("harmless"));
      assert.match(refused.output, /not scanned \(503\), try again later/);
      assert.equal(refused.isDone, false);
    });
  }
});

async function runAgainst(
  url: string,
  { document, fence, file, command }: Language,
  bytes: Uint8Array,
): Promise<{ readonly output: string; readonly isDone: boolean }> {
  const program = blockOf(await readFile(join(root, document), "utf8"), fence);
  assert.ok(program.includes(written), `the program in ${fence} asks the gateway on its usual port`);
  await using directory = await scratchDirectory();
  await writeFile(directory.at(file), program.replace(written, url));
  await writeFile(directory.at("upload.bin"), bytes);
  const [executable = "", ...args] = command;
  const env = {
    PATH: "/usr/bin:/bin",
    HOME: directory.path,
    GOFLAGS: "-mod=mod",
    GOTOOLCHAIN: "local",
    GOCACHE: join(root, "node_modules/.cache/go"),
  };
  const child = spawn(executable, [...args, file], { cwd: directory.path, env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.once("close", resolve)),
  ]);
  return { output: `${out}${err}`.trim(), isDone: code === 0 };
}

function blockOf(document: string, fence: string): string {
  const block = new RegExp(`^\`\`\`${fence}\n([\\s\\S]*?)^\`\`\`$`, "m").exec(document)?.[1];
  return block ?? assert.fail(`there is no program in ${fence}`);
}

/** A gateway that can scan nothing. */
async function answering(status: number): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    request.resume().once("end", () => response.writeHead(status, { "retry-after": "5" }).end("[]"));
  });
  const port = await listening(server);
  const closed = () => new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections());
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: closed };
}
