/** The spool: takes bodies in whole, small ones into memory and others into private files, within fixed budgets. */

import { randomUUID } from "node:crypto";
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { ActiveSet } from "../core/active-set.ts";
import { ClamgateError, toClamgateError } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { Spool, SpooledBody, SpoolOptions } from "../core/spool.ts";
import { type BodyContent, BodyHandle, type SharedContent } from "./body-handle.ts";
import { BodyWriter } from "./body-writer.ts";
import { Budget } from "./budget.ts";
import { ChunkSource } from "./chunk-source.ts";
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
  readonly #arrivals = new ActiveSet<{ readonly source: ChunkSource; readonly ended: Promise<void> }>();
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
    const source = new ChunkSource(body, options.signal);
    const arrival = Promise.withResolvers<void>();
    const arrived = this.#arrivals.add({ source, ended: arrival.promise });
    const arriving = new BodyWriter({
      memory: this.#memory,
      memoryBytesPerBody: this.#settings.memoryBytesPerBody,
      expectedBytes: options.expectedBytes ?? 0,
      createFile: () => this.#createFile(),
    });
    try {
      return this.#hold(await receive(source, arriving, options.maxBytes));
    } catch (thrown) {
      await this.#warnOnFailure(arriving.discard());
      throw thrown;
    } finally {
      source.release();
      arrived();
      arrival.resolve();
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
    for (const { source } of arrivals) source.stop(stopping());
    await Promise.all(arrivals.map(({ ended }) => ended));
    await Promise.all(this.#held.items().map((shared) => shared.release()));
  }

  #createFile() {
    const { uniqueId = randomUUID, fileSystem = { open, unlink } } = this.#settings;
    const path = join(this.#path, spoolFileName(uniqueId()));
    return createSpoolFile({ path, fileSystem, quota: this.#files, staging: this.#staging });
  }

  #hold(content: BodyContent): SpooledBody {
    let removal: Promise<void> | null = null;
    const release = (): Promise<void> => {
      removal ??= this.#release(shared, content).then(forget);
      return removal;
    };
    const shared: SharedContent = { content, holders: 0, release };
    const forget = this.#held.add(shared);
    return new BodyHandle(shared, content);
  }

  async #release(shared: SharedContent, content: BodyContent): Promise<void> {
    shared.content = null;
    await this.#warnOnFailure(content.remove());
  }

  /** A file that cannot be removed is the operator's to know; it must not turn a finished scan into an error. */
  async #warnOnFailure(removal: Promise<void>): Promise<void> {
    try {
      await removal;
    } catch (thrown) {
      const message = `a spool file could not be removed: ${toClamgateError(thrown).message}`;
      this.#settings.emit?.({ kind: "notice", level: "error", message });
    }
  }
}

async function receive(source: ChunkSource, arriving: BodyWriter, maxBytes: number): Promise<BodyContent> {
  let size = 0;
  for (let chunk = await source.next(); chunk !== null; chunk = await source.next()) {
    size += chunk.length;
    // Not `size > maxBytes`: a limit that is no number must refuse everything, not allow it.
    if (!(size <= maxBytes)) {
      throw new ClamgateError("too-large", "The body is larger than the limit", { detail: `more than ${maxBytes} bytes` });
    }
    await arriving.append(chunk);
  }
  const content = await arriving.finish();
  source.throwIfStopped();
  return content;
}

function stopping(): ClamgateError {
  return new ClamgateError("stopping", "The gateway is stopping");
}
