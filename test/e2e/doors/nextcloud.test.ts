/** Nextcloud's files_antivirus before a gateway with the environment of deploy/'s Compose files, set up by the lines of deploy/ and docs/: from there to a refused EICAR. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { deployDirectory, imageEnvironment } from "../../deploy/image.ts";
import { readOneYaml } from "../../deploy/yaml-file.ts";
import { testDatabase } from "../../fault/test-database.ts";
import { type Connection, chunk, type DoorAddress, end, open } from "../../front/clamd/door-client.ts";
import { chunked, rawIcap } from "../../front/icap/raw-icap.ts";
import { freePort } from "../../live/free-port.ts";
import { scratchDirectory } from "../../scratch-directory.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";
import { eicar } from "../samples.ts";

const run = promisify(execFile);
const virus = eicar.bytes.toString("latin1");

/** The container's environment, of which ports and paths alone are moved. */
async function startGateway(
  opened: AsyncDisposableStack,
  composeFiles: readonly string[],
  moved: Readonly<Record<string, string>>,
): Promise<GatewayProcess> {
  const composed = composeFiles.map((file) => readOneYaml(file).at("services", "clamgate", "environment").texts());
  const [database, scratch] = [opened.use(await testDatabase()), opened.use(await scratchDirectory())];
  const ports = { PORT: "0", SSL_PORT: "0" };
  const paths = { STATE_DIRECTORY: scratch.path, DATABASE_DIRECTORY: database.path, SCAN_PATH_ROOTS: scratch.path };
  const env = Object.assign({}, imageEnvironment(), ...composed, ports, paths, moved);
  return opened.use(await startGatewayProcess({ args: ["serve"], env, state: scratch.path }));
}

/** What files_antivirus is set to by these calls of occ. */
function settingsOf(lines: string): ReadonlyMap<string, string> {
  const set = lines.matchAll(/config:app:set files_antivirus (\S+) --value[ =](\S+)/g);
  return new Map([...set].map(([, name = "", value = ""]) => [name, value]));
}

type Outcome = "clean" | "infected" | "unchecked";

/** Its mode "ClamAV Daemon": a new connection at its stream's limit, which begins with the last chunk once more; the first line is read, by its rules. */
async function askDaemon(address: DoorAddress, pieces: readonly string[], streamMaxLength: number): Promise<Outcome> {
  let last = "";
  let sent = 0;
  const begin = async (): Promise<Connection> => {
    const connection = open(address);
    await connection.send(`nINSTREAM\n${last}`);
    sent = last.length;
    return connection;
  };
  const finish = async ({ send, heard }: Connection): Promise<Outcome> => {
    await send(end);
    const [line = ""] = (await heard).text.split("\n");
    if (/.*: OK$/.test(line)) return "clean";
    return /.*: (.*) FOUND$/.test(line) ? "infected" : "unchecked";
  };
  let connection = await begin();
  let isInfected = false;
  for (const piece of pieces) {
    const data = chunk(piece);
    if (sent + data.length > streamMaxLength) {
      isInfected ||= (await finish(connection)) === "infected";
      connection = await begin();
    }
    await connection.send(data);
    sent += data.length;
    last = data;
  }
  const outcome = await finish(connection);
  return isInfected ? "infected" : outcome;
}

describe("Nextcloud", () => {
  const clamdFiles = ["compose.yaml", "compose.nextcloud-clamd.yaml"];

  /** `enable-antivirus`, run as it is written, with an occ that writes down what it is told. */
  async function daemonSettings(opened: AsyncDisposableStack): Promise<ReadonlyMap<string, string>> {
    const { path } = opened.use(await scratchDirectory());
    await writeFile(`${path}/php`, `#!/bin/sh\necho "$*" >>${path}/told\n`);
    await chmod(`${path}/php`, 0o755);
    const script = new URL("nextcloud-clamd/enable-antivirus", deployDirectory).pathname;
    await run("sh", [script], { env: { ...process.env, PATH: `${path}:${process.env.PATH}` } });
    const told = await readFile(`${path}/told`, "utf8");
    assert.match(told, /^\/var\/www\/html\/occ app:enable files_antivirus\n/);
    return settingsOf(told);
  }

  /** The door's address in the Compose file, on loopback and a free port. */
  async function movedDoor(): Promise<{ readonly port: number; readonly listen: string }> {
    const listen = readOneYaml("compose.nextcloud-clamd.yaml").at("services", "clamgate", "environment", "CLAMD_LISTEN").text();
    const port = await freePort();
    return { port, listen: listen.replace("0.0.0.0:3310", `127.0.0.1:${port}`) };
  }

  test("as a clamd's client takes clean files and refuses EICAR, whole and in pieces", { timeout: 60_000 }, async () => {
    await using opened = new AsyncDisposableStack();
    const settings = await daemonSettings(opened);
    assert.deepEqual([settings.get("av_mode"), settings.get("av_host"), settings.get("av_port")], ["daemon", "clamgate", "3310"]);
    const { port, listen } = await movedDoor();
    const gateway = await startGateway(opened, clamdFiles, { CLAMD_LISTEN: listen });
    await gateway.ready();
    const door = { host: "127.0.0.1", port };
    const most = Number(settings.get("av_stream_max_length"));
    const filler = Array.from({ length: 300 }, (_, index) => `${index}`.padEnd(8_192, "."));
    assert.equal(await askDaemon(door, ["clean"], most), "clean");
    assert.equal(await askDaemon(door, filler, most), "clean");
    assert.equal(await askDaemon(door, [virus], most), "infected");
    assert.equal(await askDaemon(door, [...filler, virus], most), "infected");
    // With a limit as small as it must not be, a file is many bodies, of which each has its verdict.
    assert.equal(await askDaemon(door, [...filler.slice(0, 9), virus, ...filler.slice(9, 20)], 20_000), "infected");
  });

  test("as a clamd's client refuses what could not be scanned", { timeout: 60_000 }, async () => {
    await using opened = new AsyncDisposableStack();
    const { port, listen } = await movedDoor();
    const away = { CLAMD_LISTEN: listen, CLAMD_PORT: `tcp://127.0.0.1:${await freePort()}`, QUEUE_TIMEOUT: "500ms" };
    const gateway = await startGateway(opened, clamdFiles, away);
    await gateway.line("clamd door on ");
    assert.equal(await askDaemon({ host: "127.0.0.1", port }, ["clean"], 1e9), "infected");
  });

  test("over ICAP takes clean files and refuses EICAR", { timeout: 60_000 }, async () => {
    await using opened = new AsyncDisposableStack();
    const settings = settingsOf(await readFile(new URL("../docs/icap.md", deployDirectory), "utf8"));
    const gateway = await startGateway(opened, ["compose.nextcloud.yaml"], { ICAP_PORT: "0" });
    await gateway.ready();
    const port = Number(/icap:\/\/127\.0\.0\.1:(\d+)/.exec(await gateway.line("ICAP on icap://"))?.[1]);
    const put = "PUT /file.txt HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    const ask = async (body: string) => {
      using client = rawIcap(port);
      const head = `REQMOD icap://127.0.0.1/${settings.get("av_icap_request_service")} ICAP/1.0\r\nHost: 127.0.0.1\r\nAllow: 204\r\nX-Client-IP: \r\n`;
      const rest = `Transfer-Encoding: chunked\r\nConnection: close\r\nEncapsulated: req-hdr=0, req-body=${put.length}\r\n\r\n`;
      await client.send(Buffer.from(`${head}${rest}${put}${chunked(body)}`, "latin1"));
      const answer = await client.answer();
      return { head: client.received().toString("latin1"), found: answer.field(settings.get("av_icap_response_header") ?? "") };
    };
    assert.match((await ask("clean")).head, /^ICAP\/1\.0 204 /);
    const { head, found } = await ask(virus);
    assert.match(head, /^ICAP\/1\.0 200 OK\r\n/);
    assert.match(found ?? "", /Eicar/);
  });
});
