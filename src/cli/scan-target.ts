/** Who scans in a run: the one that is named, the gateway on this machine, or a clamd for this run; and the wait for it. */

import { setTimeout as delay } from "node:timers/promises";
import { createHttpFetch } from "./http-fetch.ts";
import { createScanner, ScanError, type Scanner, type ScannerOptions, type Status } from "./library.ts";

/** Of this run alone. */
export interface LocalScanner {
  readonly url: string;
  stop(): Promise<void>;
  /** Ends it at once, for a process that ends now. */
  kill(): void;
}

export interface ScanTarget extends AsyncDisposable {
  readonly scanner: Scanner;
  readonly name: string;
  /** As it was at the start; null where the target does not tell. */
  readonly status: Status | null;
  /**
   * After it could not be reached, or could not scan: resolves when it can, at once where it never stopped. Rejects with a
   * ScanError when it has not come back within the time to wait.
   */
  ready(signal: AbortSignal): Promise<void>;
  kill(): void;
}

export interface ScanTargetOptions {
  /** `--to`, else CLAMGATE_URL; null where neither is given. */
  readonly url: string | null;
  readonly apiKey: string | null;
  /** Whether a clamd may be started, where nobody is named and no gateway runs here. */
  readonly mayStart: boolean;
  readonly openLocal: (signal: AbortSignal) => Promise<LocalScanner>;
  readonly jobs: number;
  readonly onUnscannable: ScannerOptions["onUnscannable"];
  /** Milliseconds; null where nobody has said. */
  readonly waitMs: number | null;
  readonly signal: AbortSignal;
  /** Of what the user has to wait for. */
  readonly tell: (line: string) => void;
}

const onThisMachine = "http://localhost:9000";
const defaultWaitMs = 60_000;
const firstPauseMs = 100;
const longestPauseMs = 2_000;
/** One question for the state; the least that a single try has. */
const askMs = 5_000;
/** A large file over a slow line takes its time; as long as something moves. */
const scanTimeoutMs = 6 * 3_600_000;
/** Longer than a gateway has a body wait for its turn and scanned. */
const idleTimeoutMs = 180_000;

/** Rejects with a ScanError where nobody can scan. Nothing is left behind then. */
export async function openScanTarget(options: ScanTargetOptions): Promise<ScanTarget> {
  const { url, mayStart, waitMs, signal, tell } = options;
  if (url !== null) return await open(url, null, waitMs ?? defaultWaitMs, options);
  try {
    return await open(onThisMachine, null, mayStart ? 0 : (waitMs ?? 0), options);
  } catch (error) {
    const isAbsent = error instanceof ScanError && (error.code === "connection" || error.code === "unsupported");
    if (!isAbsent) throw error;
    if (!mayStart) {
      const hint = "start one with `clamgate serve`, name one with --to, or scan with --local";
      throw new ScanError(error.code, `no gateway on this machine (${error.message}): ${hint}`, { cause: error });
    }
  }
  tell("no gateway runs on this machine: starting a clamd for this run");
  const local = await options.openLocal(signal);
  try {
    return await open(local.url, local, waitMs ?? defaultWaitMs, options);
  } catch (error) {
    await local.stop();
    throw error;
  }
}

async function open(url: string, local: LocalScanner | null, waitMs: number, options: ScanTargetOptions): Promise<ScanTarget> {
  const { apiKey, jobs, onUnscannable, signal, tell } = options;
  const http = createHttpFetch({ connections: jobs + 1 });
  const scanner = createScanner(addressOf(url), {
    fetch: http.fetch,
    timeoutMs: scanTimeoutMs,
    idleTimeoutMs,
    ...(apiKey === null ? {} : { apiKey }),
    ...(onUnscannable === undefined ? {} : { onUnscannable }),
  });

  /** Null where the target does not let this key ask. */
  async function wait(signal: AbortSignal): Promise<Status | null> {
    const deadline = performance.now() + waitMs;
    let isTold = false;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const fault = await statusOrFault(
        scanner,
        Math.max(1_000, Math.min(askMs, Math.ceil(deadline - performance.now()))),
        signal,
      );
      if (!(fault instanceof ScanError)) return fault;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || !isPassing(fault)) throw fault;
      if (!isTold) tell(`${url}: ${fault.message}; waiting for ${Math.ceil(leftMs / 1000)} s at most`);
      isTold = true;
      await delay(Math.min(pauseMs, leftMs), undefined, { signal });
    }
  }

  let waiting: Promise<unknown> | null = null;
  async function close(): Promise<void> {
    await scanner[Symbol.asyncDispose]();
    http.close();
  }
  try {
    const status = await wait(signal);
    return {
      scanner,
      name: local === null ? url : "a clamd for this run",
      status,
      async ready(signal) {
        waiting ??= wait(signal).finally(() => {
          waiting = null;
        });
        await waiting;
      },
      kill: () => local?.kill(),
      async [Symbol.asyncDispose]() {
        await close();
        await local?.stop();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function statusOrFault(scanner: Scanner, ms: number, signal: AbortSignal): Promise<Status | null | ScanError> {
  try {
    const status = await scanner.status({ signal: AbortSignal.any([signal, AbortSignal.timeout(ms)]) });
    return status.engine === null ? new ScanError("unavailable", "it has no engine that can scan yet") : status;
  } catch (error) {
    if (signal.aborted || !(error instanceof ScanError)) throw error;
    if (error.code === "aborted") return new ScanError("connection", `no answer within ${Math.round(ms / 1000)} s`);
    return error.code === "forbidden" ? null : error;
  }
}

function isPassing({ code }: ScanError): boolean {
  return code === "connection" || code === "unavailable" || code === "rate-limited";
}

/** @throws ScanError where the address cannot be meant; it is not repeated, as it may hold a password. */
function addressOf(url: string): URL {
  const address = URL.parse(url);
  if (address === null)
    throw new ScanError("input", "the address is no URL such as http://localhost:9000 or tcp://localhost:3310");
  if (address.username !== "" || address.password !== "") {
    throw new ScanError("input", "the address has a user or a password: use CLAMGATE_API_KEY or --api-key-file");
  }
  return address;
}
