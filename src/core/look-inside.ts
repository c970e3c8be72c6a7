/**
 * An engine whose word is not enough: a body that it does not find infected is looked into for what it does not open. Pieces of it are scanned as
 * bodies of their own, and looked into as well; the worst verdict counts.
 */

import type { Clock } from "./clock.ts";
import type { Engine, EngineScan } from "./engine.ts";
import { ClamgateError } from "./errors.ts";
import { createTurns, type Turns, unpackingTurns } from "./queues/turns.ts";
import type { Spool, SpooledBody } from "./spool.ts";
import { together, type Unscannable, type Verdict } from "./verdict.ts";

/** Bytes that a body holds in a form that the engine does not open, or that nobody has looked into yet. */
export interface Piece {
  /** Whether the engine has scanned it within the body: it is only looked into then. */
  readonly isScanned: boolean;
  /** Single use; returned where it is not read to its end. What it throws fails the scan, LimitReached aside. */
  read(): AsyncGenerator<Uint8Array, void, undefined>;
}

/** What a look into one body needs. Limits count for the whole body and all of its pieces. */
export interface Look {
  readonly signal: AbortSignal;
  /** Whether it is looked into as a piece of another body. */
  readonly isPiece: boolean;
  /** Milliseconds; none or fewer once the time is over. */
  remainingMs(): number;
  /** Resolves when the piece has been looked at. Rejects with LimitReached where that is too much, and with what nobody is to catch. */
  handOver(piece: Piece): Promise<void>;
}

/**
 * What of a body can only be said, since nobody here opens it; null where there is nothing to say, at once where that needs no look into the
 * body. Rejects with the signal's reason, with what reading the body rejects with, and with what `handOver` rejects with.
 */
export type Inspect = (body: SpooledBody, look: Look) => Promise<Unscannable | null> | null;

export type Limit = "limit-time" | "limit-size" | "limit-files" | "limit-recursion";

/** What is left unread is not clean: thrown where a limit is reached. */
export class LimitReached extends Error {
  override readonly name = "LimitReached";
  readonly finding: Unscannable;

  constructor(reason: Limit) {
    super(`looking into a body reached its ${reason}`);
    this.finding = { kind: "unscannable", reason, heuristic: null };
  }
}

/** As clamd has them for what it opens itself; Infinity: none. */
export interface LookLimits {
  readonly maxMs: number;
  readonly maxFiles: number;
  readonly maxRecursion: number;
  /** Bytes of all pieces together, and of one. */
  readonly maxBytes: number;
  readonly maxPieceBytes: number;
}

export interface LookInsideOptions {
  readonly inspect: Inspect;
  readonly spool: Spool;
  readonly limits: LookLimits;
  readonly clock: Clock;
}

export function lookInside(engine: Engine, given: LookInsideOptions): Engine {
  const options = { ...given, unpacking: createTurns(unpackingTurns) };
  return {
    version: () => engine.version(),
    async scan(body, signal, client) {
      const scan = await engine.scan(body, signal, client);
      if (scan.verdict.kind === "infected") return scan;
      const search = new Search(engine, options, { scan, signal, client });
      const looking = search.look(body, 0);
      if (looking !== null) await looking;
      return search.scan;
    },
  };
}

/** Nothing is worse than infected: what is left need not be looked at. */
class Infected extends Error {
  override readonly name = "Infected";
}

interface Asked {
  /** Of the body itself. */
  readonly scan: EngineScan;
  readonly signal: AbortSignal;
  readonly client: string;
}

/** One body with all of its pieces, and what they may still take. */
class Search {
  readonly #engine: Engine;
  readonly #options: LookInsideOptions & { readonly unpacking: Turns };
  readonly #signal: AbortSignal;
  readonly #client: string;
  #endsAt: number;
  #files: number;
  #bytes: number;
  /** What is known by now. */
  scan: EngineScan;

  constructor(engine: Engine, options: LookInsideOptions & { readonly unpacking: Turns }, { scan, signal, client }: Asked) {
    const { limits, clock } = options;
    this.#engine = engine;
    this.#options = options;
    this.#signal = signal;
    this.#client = client;
    this.#endsAt = clock() + limits.maxMs - scan.scanMs;
    this.#files = limits.maxFiles;
    this.#bytes = limits.maxBytes;
    this.scan = scan;
  }

  /** Null where there is nothing to look at. */
  look(body: SpooledBody, depth: number): Promise<void> | null {
    const inspecting = this.#options.inspect(body, {
      signal: this.#signal,
      isPiece: depth > 0,
      remainingMs: () => this.#endsAt - this.#options.clock(),
      handOver: (piece) => this.#take(piece, depth + 1),
    });
    return inspecting === null ? null : this.#note(inspecting);
  }

  async #note(inspecting: Promise<Unscannable | null>): Promise<void> {
    try {
      const found = await inspecting;
      if (found !== null) this.#add(found);
    } catch (error) {
      if (error instanceof LimitReached) this.#add(error.finding);
      else if (!(error instanceof Infected)) throw error;
    }
  }

  async #take(piece: Piece, depth: number): Promise<void> {
    const { clock, limits } = this.#options;
    if (depth > limits.maxRecursion) throw new LimitReached("limit-recursion");
    if (this.#files <= 0) throw new LimitReached("limit-files");
    if (clock() > this.#endsAt) throw new LimitReached("limit-time");
    this.#files -= 1;
    const body = await this.#spooled(piece);
    try {
      this.#bytes -= body.size;
      if (body.size === 0) return;
      if (!piece.isScanned) await this.#scan(body);
      await this.look(body, depth);
    } finally {
      await body[Symbol.asyncDispose]();
    }
    if (this.scan.verdict.kind === "infected") throw new Infected();
  }

  async #spooled(piece: Piece): Promise<SpooledBody> {
    const bytes = piece.read();
    const { limits, spool, unpacking, clock } = this.#options;
    const maxBytes = Math.min(this.#bytes, limits.maxPieceBytes);
    const askedAt = clock();
    const endTurn = await unpacking.take(this.#client, this.#signal);
    this.#endsAt += clock() - askedAt;
    try {
      return await spool.take(bytes, { maxBytes, signal: this.#signal });
    } catch (error) {
      throw error instanceof ClamgateError && error.code === "too-large" ? new LimitReached("limit-size") : error;
    } finally {
      await bytes.return();
      endTurn();
    }
  }

  /** Time in the queue is nobody's fault. */
  async #scan(body: SpooledBody): Promise<void> {
    const next = await this.#engine.scan(body, this.#signal, this.#client);
    this.#endsAt += next.queueMs;
    const before = this.scan;
    this.scan = {
      ...before,
      isCacheable: before.isCacheable && next.isCacheable && before.version.tag === next.version.tag,
      queueMs: before.queueMs + next.queueMs,
      scanMs: before.scanMs + next.scanMs,
    };
    this.#add(next.verdict, next);
  }

  /** @param by the scan that says so, where one does. */
  #add(verdict: Verdict, { version, backend }: EngineScan = this.scan): void {
    const before = this.scan.verdict;
    if (verdict.kind === "clean" || before.kind === "infected") return;
    const worst = verdict.kind === "infected" || before.kind === "clean" ? verdict : (together(before, verdict) ?? verdict);
    this.scan = { ...this.scan, verdict: worst, version, backend };
    if (worst.kind === "infected") throw new Infected();
  }
}
