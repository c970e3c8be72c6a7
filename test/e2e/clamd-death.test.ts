import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { upload } from "./client.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { eicar, type Sample, unknownBytes } from "./samples.ts";

describe("kill -9 of clamd", () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startGatewayProcess();
    await gateway.ready();
  });
  after(() => gateway[Symbol.asyncDispose]());

  test("during 100 scans leaves every request with its right verdict or 503, and the gateway ready again", async (context) => {
    const samples = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? infected(index) : unknownBytes(300_000)));
    const answers = samples.map((sample) => upload(gateway.url, sample));
    // In the middle of it: some have their verdict, most are queued or being scanned.
    await Promise.race(answers);
    process.kill(clamdPid(gateway), "SIGKILL");
    const counts = { 200: 0, 406: 0, 503: 0 };
    for (const [index, answer] of (await Promise.all(answers)).entries()) {
      const right = index % 2 === 0 ? 406 : 200;
      assert.ok(answer.status === right || answer.status === 503, `${samples[index]?.name}: ${answer.status} ${answer.body}`);
      if (answer.status === 503) assert.equal(answer.headers["retry-after"], "5");
      counts[answer.status as keyof typeof counts] += 1;
    }
    context.diagnostic(`answers: ${JSON.stringify(counts)}`);
    await gateway.ready();
    assert.equal((await upload(gateway.url, eicar)).status, 406);
    assert.equal((await upload(gateway.url, unknownBytes(100))).status, 200);
    assert.equal(await gateway.metric('clamgate_child_restarts_total{child="clamd"}'), 1);
  });
});

/** EICAR in a tar of its own, so that no two bodies are equal. */
function infected(index: number): Sample {
  const header = Buffer.alloc(512);
  header.write(`eicar-${index}.com`, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${eicar.bytes.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\0", 257);
  header.write("00", 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const content = Buffer.alloc(512);
  eicar.bytes.copy(content);
  return { name: `eicar-${index}.tar`, bytes: Buffer.concat([header, content, Buffer.alloc(1024)]) };
}

/** Of the last clamd that was started. */
export function clamdPid(gateway: GatewayProcess): number {
  const started = gateway.lines.findLast((line) => line.includes('"child started"'));
  return Number(JSON.parse(started ?? "{}").pid);
}
