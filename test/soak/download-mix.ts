/** What clients of the download proxy ask for on a usual day: popular files, new ones, infected ones, and files that turn infected. */

import type { CountingClient, Exchange } from "../fault/harness/counting-client.ts";
import type { DownloadAccount } from "../fault/harness/download-account.ts";
import type { Random } from "../fault/harness/random.ts";
import { type Subject, type SubjectSource, subject, subjectSource } from "../fault/harness/subjects.ts";
import { marker } from "../live/clamd.ts";
import { weighted } from "../load/traffic.ts";
import { isRefused, type Served } from "./served.ts";
import type { Shelf } from "./shelf.ts";

export interface DownloadMixOptions {
  readonly random: Random;
  readonly subjects: SubjectSource;
  readonly shelf: Shelf;
  /** Of the proxy. */
  readonly client: CountingClient;
  readonly account: DownloadAccount;
}

/** Every call asks for one file and resolves when that is settled; a file that turns is asked for twice. */
export function downloadMix({ random, subjects, shelf, client, account }: DownloadMixOptions): () => Promise<Served> {
  let made = 0;
  const plain = subjectSource(random, { isPlain: true });
  const popular = Array.from({ length: 30 }, (_, index) => {
    const file = index % 5 === 0 ? subjects.infected() : subjects.clean();
    return { file, path: place(file) };
  });

  return () =>
    weighted(random, [
      [45, () => askPopular()],
      [25, () => askOnce(subjects.clean())],
      [20, () => askOnce(subjects.infected())],
      [5, () => askTurning(plain.clean(random.size(1_000, 600_000)))],
      [4, () => askAndLeave(subjects.clean())],
      [1, () => askOnce(subjects.clean(random.size(2_000_000, 20_000_000)))],
    ]);

  function place(file: Subject, path = nextPath()): string {
    shelf.files.set(path, file.bytes);
    return path;
  }

  function nextPath(): string {
    made += 1;
    return `/${made}`;
  }

  async function ask(
    { file, path }: { readonly file: Subject; readonly path: string },
    { before, signal }: { readonly before?: Subject; readonly signal?: AbortSignal } = {},
  ): Promise<Exchange> {
    const headers = { "download-from": `${shelf.url}/`, "cache-scan": "true" };
    const message = { method: "GET", path, headers, ...(signal === undefined ? {} : { signal }) };
    return await account.request(file, () => client.send(message), before);
  }

  async function askPopular(): Promise<Served> {
    const one = random.pick(popular);
    return served(one.file, await ask(one));
  }

  async function askOnce(file: Subject, signal?: AbortSignal): Promise<Served> {
    const path = place(file);
    const exchange = await ask({ file, path }, signal === undefined ? {} : { signal });
    shelf.files.delete(path);
    return served(file, exchange);
  }

  function served({ name }: Subject, exchange: Exchange): Served {
    return {
      name: `${exchange.answer?.status ?? exchange.fault} for ${name}`,
      elapsedMs: exchange.elapsedMs,
      isRefused: isRefused(exchange),
    };
  }

  function askAndLeave(file: Subject): Promise<Served> {
    const leave = new AbortController();
    setTimeout(() => leave.abort(), random.below(50));
    return askOnce(file, leave.signal);
  }

  /** What was clean when it was remembered has a virus now, at the same length. */
  async function askTurning(clean: Subject): Promise<Served> {
    const path = place(clean);
    await ask({ file: clean, path });
    const bytes = Buffer.from(clean.bytes);
    bytes.write(marker, random.below(bytes.length - marker.length));
    const evil = subject(`${clean.name}, turned`, bytes, "infected");
    place(evil, path);
    const { answer, elapsedMs } = await ask({ file: evil, path }, { before: clean });
    shelf.files.delete(path);
    // Cut is what it has to be, once it has begun.
    return { name: evil.name, elapsedMs, isRefused: (answer?.status ?? 0) >= 500 };
  }
}
