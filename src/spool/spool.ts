/** The spool: takes bodies in whole, small ones into memory and others into private files, within fixed budgets. */

import { randomUUID } from "node:crypto";
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { chunksOf } from "../core/chunk-source.ts";
import { ClamgateError, toClamgateError } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import { ActiveSet } from "../core/queues/active-set.ts";
import type { Spool, SpooledBody, SpoolOptions } from "../core/spool.ts";
import { Arrival } from "./arrival.ts";
import { type BodyContent, BodyHandle, released, SharedContent } from "./body-handle.ts";
import { Budget } from "./budget.ts";
import { claimDirectory, spoolFileName } from "./spool-directory.ts";
import { createSpoolFile, type FileSystem } from "./spool-file.ts";

export interface SpoolSettings {
  /** For this gateway alone: another one that opens it would remove the files of this one. */
  readonly directory: string;
  /** A body of more bytes than this goes to a file. */
  readonly memoryBytesPerBody: number;
  /** All bodies in memory together; a body that finds no room goes to a file. */
  readonly memoryBytesTotal: number;
  /** All files together; beyond it bodies are refused with `spool-full`. */
  readonly maxFileBytesTotal: number;
  readonly emit?: Emit;
  /** Names the files; in the form of randomUUID, which is the default. */
  readonly uniqueId?: () => string;
  readonly fileSystem?: FileSystem;
}

/** Opens the directory (see `claimDirectory` for what is refused) and removes what an earlier gateway left in it. */
export async function openSpool(settings: SpoolSettings): Promise<Spool> {
  const { path, leftovers } = await claimDirectory(settings.directory);
  if (leftovers > 0) settings.emit?.({ kind: "notice", level: "info", message: `removed ${leftovers} files left in the spool` });
  return new DiskSpool(settings, path);
}

/**
 * A chunk is copied before the next one is asked for, so a producer may reuse its memory then. Where `take` rejects, the
 * body is left as it is, unread and open: its owner drains or closes it. A chunk being awaited at an abort is lost.
 */
class DiskSpool implements Spool {
  readonly #settings: SpoolSettings;
  readonly #path: string;
  readonly #memory: Budget;
  readonly #files: Budget;
  /** At most 256 KiB for each body on its way into a file; counted, not limited: the front limits its connections. */
  readonly #staging = new Budget(Number.POSITIVE_INFINITY);
  readonly #arrivals = new ActiveSet<Arrival>();
  readonly #held = new ActiveSet<SharedContent>();
  #isClosed = false;

  constructor(settings: SpoolSettings, path: string) {
    this.#settings = settings;
    this.#path = path;
    this.#memory = new Budget(settings.memoryBytesTotal);
    this.#files = new Budget(settings.maxFileBytesTotal);
  }

  /** Rejects with `stopping` once the spool is closed, besides what the port says. */
  async take(body: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<SpooledBody> {
    if (this.#isClosed) throw stopping();
    options.signal.throwIfAborted();
    const arrival = new Arrival({
      source: chunksOf(body),
      signal: options.signal,
      maxBytes: options.maxBytes,
      memory: this.#memory,
      memoryBytesPerBody: this.#settings.memoryBytesPerBody,
      expectedBytes: options.expectedBytes ?? 0,
      createFile: () => this.#createFile(),
    });
    const arrived = this.#arrivals.add(arrival);
    try {
      for (let wait = arrival.advance(); wait !== null; wait = arrival.advance()) await wait;
      const content = arrival.content();
      return this.#hold(content instanceof Promise ? await content : content);
    } catch (thrown) {
      await this.#removed(arrival.discard());
      throw thrown;
    } finally {
      arrived();
      arrival.end();
    }
  }

  /** Bodies that are still arriving are counted with what they take by now. */
  usage(): { readonly bodies: number; readonly memoryBytes: number; readonly fileBytes: number } {
    return {
      bodies: this.#held.size + this.#arrivals.size,
      memoryBytes: this.#memory.used + this.#staging.used,
      fileBytes: this.#files.used,
    };
  }

  /** What is arriving is rejected with `stopping`; handles still held throw from now on. The empty directory stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const arrivals = this.#arrivals.items();
    for (const arrival of arrivals) arrival.stop(stopping());
    await Promise.all(arrivals.map(({ ended }) => ended));
    await Promise.all(this.#held.items().map((shared) => shared.release()));
  }

  #createFile() {
    const { uniqueId = randomUUID, fileSystem = { open, unlink } } = this.#settings;
    const path = join(this.#path, spoolFileName(uniqueId()));
    return createSpoolFile({ path, fileSystem, quota: this.#files, staging: this.#staging });
  }

  #hold(content: BodyContent): SpooledBody {
    const shared = new SharedContent(content, (removal) => {
      if (removal === null) forget();
      return removal === null ? released : this.#removed(removal).then(forget);
    });
    const forget = this.#held.add(shared);
    return new BodyHandle(shared, content);
  }

  /** A file that cannot be removed is the operator's to know; it must not turn a finished scan into an error. */
  async #removed(removal: Promise<void> | null): Promise<void> {
    try {
      await removal;
    } catch (thrown) {
      const message = `a spool file could not be removed: ${toClamgateError(thrown).message}`;
      this.#settings.emit?.({ kind: "notice", level: "error", message });
    }
  }
}

function stopping(): ClamgateError {
  return new ClamgateError("stopping", "The gateway is stopping");
}
