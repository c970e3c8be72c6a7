/** B4, B5, B16: no head makes the gateway serve a request within a body, and whatever comes back is HTTP. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { marker } from "../live/clamd.ts";
import { eventually } from "../process/stage.ts";
import { type Campaign, campaign } from "./harness/campaign.ts";
import { openRaw, type RawConnection } from "./harness/raw-answers.ts";
import { anyId, isSmuggled, knownTricks, requestsTo } from "./harness/request-heads.ts";
import { isHttp2 } from "./http2-frames.ts";
import type { Smuggling } from "./smuggling.ts";

interface Sent {
  readonly id: string;
  readonly connection: RawConnection;
  readonly isSmuggled: boolean;
  readonly mayBeHttp2: boolean;
  /** For the message of an assertion. */
  readonly text: string;
}

/** How long the last connections may still bring something; all others are watched for as long as the campaign lasts. */
const lateMs = 3_000;

export function httpHeads(smuggling: Smuggling): Campaign {
  const { front, port } = smuggling;
  const all: Sent[] = [];
  let count = 0;
  const nextId = () => {
    count += 1;
    return String(count).padStart(anyId.length, "0");
  };

  return campaign({
    name: `heads of requests to ${front.name} (B4, B5, B16)`,
    testRuns: 150,
    arbitrary: requestsTo(smuggling),
    corpus: knownTricks(smuggling),
    least: { smuggled: 0.4, answered: 0.5 },
    before: serveHonestOnes,
    async check(bytes, note) {
      const sent = send(bytes);
      all.push(sent);
      // A connection that waits for more stays open: two requests that came later have been answered by then.
      for (let turn = 1; turn <= 2 && !sent.connection.isClosed(); turn += 1) await answerOther(`${sent.id}-${turn}`);
      assertSound(sent);
      if (sent.isSmuggled) note("smuggled");
      if (sent.connection.reply().answers.length > 0) note("answered");
    },
    async after() {
      const sent = all.splice(0);
      try {
        const closed = Promise.all(sent.map(({ connection }) => connection.closed));
        await Promise.race([closed, delay(lateMs, undefined, { ref: false })]);
        // By its end the log has been read up to there.
        await serveHonestOnes();
        for (const one of sent) {
          assertSound(one);
          assert.notEqual(one.connection.reply().rest, "part", `half an answer to ${one.text}`);
        }
      } finally {
        for (const { connection } of sent) connection.destroy();
      }
    },
  });

  function send(bytes: Buffer): Sent {
    const id = nextId();
    const text = bytes.toString("latin1").replaceAll(smuggling.request(anyId), smuggling.request(id));
    return {
      id,
      connection: openRaw(port, Buffer.from(text, "latin1")),
      isSmuggled: isSmuggled(text, smuggling.request(id)),
      mayBeHttp2: text.startsWith("PRI "),
      text: JSON.stringify(text.slice(0, 600)),
    };
  }

  /** The request inside is one that is served, alone and behind another one. */
  async function serveHonestOnes(): Promise<void> {
    for (const first of ["", `GET ${smuggling.path} HTTP/1.1\r\nHost: x\r\n${smuggling.lines}\r\n`]) {
      const id = nextId();
      const connection = openRaw(port, Buffer.from(first + smuggling.request(id)));
      try {
        await eventually(`${front.name} serves what is smuggled nowhere`, () => smuggling.wasServed(id));
      } finally {
        connection.destroy();
      }
    }
  }

  async function answerOther(name: string): Promise<void> {
    const { isClean, label } = await front.judge(Buffer.from(`an honest body ${name}`));
    assert.ok(isClean, `${label} for another client`);
  }

  function assertSound(sent: Sent): void {
    const { id, connection, text } = sent;
    assert.ok(!sent.isSmuggled || !smuggling.wasServed(id), `smuggled by ${text}`);
    if (sent.mayBeHttp2 && isHttp2(connection.bytes())) return;
    const { answers, rest } = connection.reply();
    assert.notEqual(rest, "garbage", `no answer: ${JSON.stringify(connection.bytes().toString("latin1"))} to ${text}`);
    for (const { status, head, body } of answers) {
      assert.ok(status !== 500, `500 for ${text}`);
      assert.ok(!/\r(?!\n)|[^\r]\n|\0/.test(head), `a head with control characters for ${text}`);
      assert.ok(!body.includes(marker), `its own bytes are in the answer to ${text}`);
    }
  }
}
