/** One client with very many connections, each of which posts one body after the other: what it takes for itself, others cannot have. */

import { setTimeout as delay } from "node:timers/promises";
import { HttpConnection } from "../../../bench/load/http-connection.ts";
import { messageOf } from "../../../src/core/errors.ts";
import { Mould } from "./mould.ts";

export interface HoardPlan {
  /** Of the gateway. */
  readonly url: string;
  readonly connections: number;
  /** The one address that they all come from. */
  readonly from: string;
  /** Of each body, no two of which are equal. */
  readonly bytes: number;
  /** How long a connection rests after a 503. */
  readonly restMs: number;
}

export interface HoardState {
  readonly served: number;
  readonly refused: number;
  /** Everything else, in words. */
  readonly broken: readonly string[];
}

export class Hoard {
  readonly #plan: HoardPlan;
  readonly #mould: Mould;
  readonly #broken: string[] = [];
  #connections: readonly HttpConnection[] = [];
  #isReleased = false;
  #made = 0;
  #served = 0;
  #refused = 0;

  constructor(plan: HoardPlan) {
    this.#plan = plan;
    this.#mould = new Mould(plan.url, Buffer.alloc(plan.bytes, "hoarded "));
  }

  /** Resolves when every connection is open and has sent its first body. */
  async gather(): Promise<HoardState> {
    const { url, connections, from } = this.#plan;
    const { hostname, port } = new URL(url);
    const opening = Array.from({ length: connections }, () => HttpConnection.open(hostname, Number(port), from));
    this.#connections = await Promise.all(opening);
    for (const connection of this.#connections) void this.#work(connection);
    return this.state();
  }

  state(): HoardState {
    return { served: this.#served, refused: this.#refused, broken: this.#broken };
  }

  /** Goes without waiting for its answers. */
  release(): HoardState {
    this.#isReleased = true;
    for (const connection of this.#connections) connection.close();
    return this.state();
  }

  async #work(connection: HttpConnection): Promise<void> {
    try {
      while (!this.#isReleased) {
        this.#made += 1;
        const { status, text } = await connection.request([this.#mould.cast(this.#made).request]);
        if (status === 200) this.#served += 1;
        else if (status === 503) this.#refused += 1;
        else this.#broken.push(`${status} ${text}`);
        if (status !== 200) await delay(this.#plan.restMs);
      }
    } catch (error) {
      this.#broken.push(messageOf(error));
    }
  }
}
