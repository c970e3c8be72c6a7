/** The entries of API_KEYS_FILE as they are now: read at the start, and again while the gateway runs. */

import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../core/errors.ts";
import type { Emit } from "../core/events.ts";
import type { CertificateName } from "./certificate-name.ts";
import type { AuthMethod, Client } from "./client.ts";
import { type KeyEntry, parseKeyFile } from "./key-file.ts";

export interface KnownEntry extends KeyEntry {
  readonly client: Client;
}

export interface KnownEntries {
  byId(id: string): KnownEntry | null;
  byCertificateName(name: CertificateName): KnownEntry | null;
}

export interface Keys extends KnownEntries {
  /** Reads the file now; what came of it is emitted. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

export interface KeysOptions {
  readonly path: string;
  readonly emit: Emit;
}

/** A change counts within twice that: 10 s are promised. */
const pollMs = 5_000;
const maxFileBytes = 16 * 1024 * 1024;

/** Rejects with an Error for the operator where the file cannot be read or is wrong. */
export async function openKeys({ path, emit }: KeysOptions): Promise<Keys> {
  let text = await readKeyFile(path);
  let entries = parsed(text);
  let known = entriesOf(entries);
  let fault: string | null = null;
  let isLooking = false;

  /** A file that is gone or broken leaves the entries as they were: an editor may be in the middle of it. */
  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    try {
      const next = await readKeyFile(path);
      if (next !== text || fault !== null) {
        const before = entries;
        entries = parsed(next);
        known = entriesOf(entries);
        text = next;
        if (fault !== null) emit({ kind: "notice", level: "info", message: "API_KEYS_FILE can be used again" });
        fault = null;
        const change = changeOf(before, entries);
        if (change !== null) emit({ kind: "keys-changed", ...change });
      }
    } catch (error) {
      const reason = messageOf(error);
      emit({ kind: "key-file-failed", reason, isRepeated: reason === fault });
      fault = reason;
    } finally {
      isLooking = false;
    }
  }

  const timer = setInterval(() => void look(), pollMs);
  timer.unref();
  return {
    byId: (id) => known.byId(id),
    byCertificateName: (name) => known.byCertificateName(name),
    look,
    close: () => clearInterval(timer),
  };
}

/** Rejects with the system's error, or where it is no file that one could read whole. */
export async function readKeyFile(path: string): Promise<string> {
  // A FIFO would be waited for.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error("it is no file");
    if (stats.size > maxFileBytes) throw new Error(`it is larger than ${maxFileBytes} bytes`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function parsed(text: string): readonly KeyEntry[] {
  const file = parseKeyFile(text);
  switch (file.kind) {
    case "entries":
      return file.entries;
    case "faults":
      throw new Error(file.faults.join("; "));
  }
}

export function entriesOf(entries: readonly KeyEntry[]): KnownEntries {
  const by = (method: AuthMethod, entry: KeyEntry): KnownEntry => ({ ...entry, client: { ...entry.client, method } });
  const byId = new Map(entries.map((entry) => [entry.client.id, by("key", entry)]));
  const byName = new Map(entries.map((entry) => [entry.san, by("mtls", entry)]));
  return { byId: (id) => byId.get(id) ?? null, byCertificateName: (name) => byName.get(name) ?? null };
}

interface KeyChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Whose entry is another one now. */
  readonly changed: readonly string[];
}

function changeOf(before: readonly KeyEntry[], after: readonly KeyEntry[]): KeyChange | null {
  const old = new Map(before.map((entry) => [entry.client.id, entry]));
  const now = new Map(after.map((entry) => [entry.client.id, entry]));
  const added = [...now.keys()].filter((id) => !old.has(id));
  const removed = [...old.keys()].filter((id) => !now.has(id));
  const changed = [...now.keys()].filter((id) => old.has(id) && !isDeepStrictEqual(old.get(id), now.get(id)));
  return added.length + removed.length + changed.length === 0 ? null : { added, removed, changed };
}
