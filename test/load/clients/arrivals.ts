/** Requests that arrive at a steady rate whatever becomes of those before, each held against what its body truly is. */

import { setTimeout as delay } from "node:timers/promises";
import { HttpConnection } from "../../../bench/load/http-connection.ts";
import { messageOf } from "../../../src/core/errors.ts";
import { chooseSeed, seededRandom } from "../../fault/harness/random.ts";
import { subjectSource } from "../../fault/harness/subjects.ts";
import { marker } from "../../live/clamd.ts";
import { steadyTraffic } from "../traffic.ts";
import { Mould } from "./mould.ts";

export interface ArrivalsOrder {
  /** Of the gateway. */
  readonly url: string;
  /** One after the other, without a wait for the answers of the one before. */
  readonly phases: readonly { readonly perSecond: number; readonly seconds: number }[];
  /** Addresses that the connections come from, in turn; default: what the system chooses. */
  readonly from?: readonly string[];
  /** At most; a request that finds none free waits, and its wait counts. */
  readonly connections: number;
  /** Of each body, no two of which are equal. */
  readonly bytes: number;
  /** Every so many bodies one is infected; 0: none. */
  readonly infectedEvery: number;
}

export interface Arrivals {
  readonly answers: readonly Arrival[];
  /** Verdicts that are not the body's, in words. */
  readonly wrong: readonly string[];
  /** Requests without a proper answer, in words: cut, an unforeseen status, a 503 that does not say when to come again. */
  readonly broken: readonly string[];
}

export interface Arrival {
  /** Counted from 0. */
  readonly phase: number;
  /** Since its phase began. */
  readonly atMs: number;
  readonly ms: number;
  /** A verdict; else refused by 503 with Retry-After. */
  readonly isServed: boolean;
}

/** Of all runs of this process: what one has sent is known by the next. */
let made = 0;

export async function sendArrivals(order: ArrivalsOrder): Promise<Arrivals> {
  const connections = new Connections(order);
  const { bytes } = subjectSource(seededRandom(chooseSeed()), { isPlain: true }).clean(order.bytes);
  const clean = new Mould(order.url, bytes);
  const infected = new Mould(order.url, Buffer.concat([bytes, Buffer.from(marker)]));
  const answers: Arrival[] = [];
  const wrong: string[] = [];
  const broken: string[] = [];

  async function one(phase: number, startedAt: number): Promise<void> {
    const dueAt = performance.now();
    made += 1;
    const number = made;
    const isInfected = order.infectedEvery > 0 && number % order.infectedEvery === 0;
    const { request, sha256 } = (isInfected ? infected : clean).cast(number);
    try {
      const { status, head, text } = await connections.request([request]);
      const isRefused = status === 503 && /\r\nretry-after: *\d/i.test(head);
      if (!isRefused && status !== 200 && status !== 406) broken.push(`${status} ${text}`);
      else answers.push({ phase, atMs: dueAt - startedAt, ms: performance.now() - dueAt, isServed: !isRefused });
      if (isRefused) return;
      const isRight = status === (isInfected ? 406 : 200) && text.includes(isInfected ? '"FOUND"' : '"OK"');
      if (!isRight || !head.includes(sha256())) wrong.push(`body ${number}: ${status} ${text}`);
    } catch (error) {
      broken.push(messageOf(error));
    }
  }

  const unanswered: Promise<void>[] = [];
  for (const [phase, { perSecond, seconds }] of order.phases.entries()) {
    const startedAt = performance.now();
    const traffic = steadyTraffic(perSecond, () => one(phase, startedAt));
    await delay(seconds * 1000); // the length of the phase
    unanswered.push(traffic.stop());
  }
  await Promise.all(unanswered);
  connections.close();
  return { answers, wrong, broken };
}

/** Opened as they are needed and kept; one that breaks is not used again. */
class Connections {
  readonly #address: URL;
  readonly #most: number;
  readonly #from: readonly string[];
  readonly #free: HttpConnection[] = [];
  readonly #waiting: ((connection: HttpConnection | null) => void)[] = [];
  #open = 0;

  constructor({ url, connections, from = [] }: ArrivalsOrder) {
    this.#address = new URL(url);
    this.#most = connections;
    this.#from = from;
  }

  async request(pieces: readonly Buffer[]) {
    const connection = this.#free.pop() ?? (await this.#another());
    try {
      const answer = await connection.request(pieces);
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(connection);
      else next(connection);
      return answer;
    } catch (error) {
      this.#lost();
      throw error;
    }
  }

  close(): void {
    for (const connection of this.#free) connection.close();
  }

  async #another(): Promise<HttpConnection> {
    if (this.#open >= this.#most) {
      const given = await new Promise<HttpConnection | null>((resolve) => this.#waiting.push(resolve));
      if (given !== null) return given;
    }
    this.#open += 1;
    try {
      const from = this.#from[this.#open % this.#from.length];
      return await HttpConnection.open(this.#address.hostname, Number(this.#address.port), from);
    } catch (error) {
      this.#lost();
      throw error;
    }
  }

  #lost(): void {
    this.#open -= 1;
    this.#waiting.shift()?.(null);
  }
}
