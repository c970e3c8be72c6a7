/** rspamd and clamav-milter at the clamd door, as docs/clamd.md has them: what becomes of a mail that is clean, infected, too large, or not scanned. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { clean, type FakeClamd, found, startFakeClamd } from "../../fake/clamd.ts";
import { givenClamd } from "../../fault/harness/given-clamd.ts";
import { type LiveMilter, startClamavMilter } from "../../live/clamav-milter.ts";
import { freePort } from "../../live/free-port.ts";
import { type LiveRspamd, startRspamd } from "../../live/rspamd.ts";
import { type GatewayProcess, startGatewayProcess } from "../gateway-process.ts";

const virus = "Mail.Test.Virus";
const marker = "this is the marker";
const limit = 1024 * 1024;

function mail(body: string): string {
  return `From: from@test\r\nTo: to@test\r\nSubject: A mail\r\n\r\n${body}\r\n`;
}

const mails = {
  clean: mail("hello"),
  infected: mail(marker),
  large: mail("large ".repeat(limit / 3)),
  away: mail("not seen before"),
} as const;

describe("mail filters at the clamd door", () => {
  let clamd: FakeClamd;
  let gateway: GatewayProcess;
  let rspamd: LiveRspamd;
  let milter: LiveMilter;
  before(async () => {
    clamd = await startFakeClamd({ scan: (body) => (body.includes(marker) ? found(virus) : clean) });
    const [port, closing] = [await freePort(), await freePort()];
    const [antivirus = "", forceActions = ""] = await Promise.all(["antivirus", "force_actions"].map(shipped));
    [gateway, rspamd] = await Promise.all([
      startGatewayProcess({
        env: {
          ...givenClamd({ ports: [clamd.address.port] }),
          // rspamd lets a mail pass on a line that ends in ERROR.
          CLAMD_LISTEN: `127.0.0.1:${port},127.0.0.1:${closing}?on-error=close`,
          MAX_FILE_SIZE: `${limit}`,
          QUEUE_TIMEOUT: "500ms",
        },
      }),
      startRspamd({ antivirus: antivirus.replace("clamgate:3310", `127.0.0.1:${closing}`), forceActions }),
    ]);
    await gateway.ready();
    // It asks for its clamd as it starts, and not again for a while.
    milter = await startClamavMilter(port);
  });
  after(async () => {
    await milter[Symbol.asyncDispose]();
    await rspamd[Symbol.asyncDispose]();
    await gateway[Symbol.asyncDispose]();
    await clamd[Symbol.asyncDispose]();
  });

  /** rspamd's action, and what its antivirus module found. */
  async function judged(text: string): Promise<readonly string[]> {
    const { action, symbols } = await rspamd.check(text);
    const ours = [...symbols].filter(([name]) => name.startsWith("CLAM_"));
    return [action, ...ours.flatMap(([name, options]) => [name, ...options])];
  }

  test("rspamd passes what is clean, rejects what is infected, and defers what is too large, by the files of deploy/", async () => {
    assert.deepEqual(await judged(mails.clean), ["no action"]);
    assert.deepEqual(await judged(mails.infected), ["reject", "CLAM_VIRUS", virus]);
    assert.deepEqual((await judged(mails.large)).slice(0, 2), ["soft reject", "CLAM_VIRUS_FAIL"]);
  });

  test("clamav-milter accepts what is clean, rejects what is infected, and defers what is too large", async () => {
    assert.equal((await milter.ask(mails.clean)).action, "accept");
    const { action, reply } = await milter.ask(mails.infected);
    assert.deepEqual([action, reply], ["reject", `550 5.7.1 Found: ${virus}`]);
    assert.equal((await milter.ask(mails.large)).action, "defer");
  });

  test("both defer a mail while the engine is away", async () => {
    await clamd.kill();
    assert.deepEqual((await judged(mails.away)).slice(0, 2), ["soft reject", "CLAM_VIRUS_FAIL"]);
    assert.equal((await milter.ask(mails.away)).action, "defer");
  });
});

function shipped(name: string): Promise<string> {
  return readFile(new URL(`../../../deploy/rspamd/${name}.conf`, import.meta.url), "utf8");
}
