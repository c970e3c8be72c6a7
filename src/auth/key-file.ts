/** API_KEYS_FILE: the clients that may come in, each by the digest of its key, by a name of its certificate, or by both. */

import { type IpRange, parseIpRange } from "../codec/ip-address.ts";
import { type Scope, scopes } from "../core/scope.ts";
import { type CertificateName, parseCertificateName } from "./certificate-name.ts";
import { type Client, type Limits, noLimits, type Priority, priorities, type Quota, type Rate } from "./client.ts";
import { keyIdPattern } from "./key.ts";
import { byteRates, countRates, parseRate } from "./rate.ts";

export interface KeyEntry {
  readonly client: Omit<Client, "method">;
  /** Of the whole key; null where the client comes by its certificate alone. */
  readonly sha256: Buffer | null;
  readonly san: CertificateName | null;
  /** Milliseconds since the epoch; from then on it opens nothing. */
  readonly notAfter: number | null;
  /** Networks that it may come from; null: any. */
  readonly from: readonly IpRange[] | null;
}

export type KeyFile =
  | { readonly kind: "entries"; readonly entries: readonly KeyEntry[] }
  /** One line each, which show nothing of a key, a digest or a secret. */
  | { readonly kind: "faults"; readonly faults: readonly string[] };

const shownFaults = 20;

export function parseKeyFile(text: string): KeyFile {
  const json = parseJson(text);
  if (json.kind === "faults") return json;
  const { value } = json;
  if (!isObject(value) || !Array.isArray(value.keys)) return faulty(['the file must be `{"keys":[…]}`']);
  const strange = Object.keys(value).filter((name) => name !== "keys");
  if (strange.length > 0) return faulty([`the file has a field ${shown(strange[0])} beside "keys"`]);
  const faults: string[] = [];
  const entries: KeyEntry[] = [];
  for (const [at, one] of value.keys.entries()) {
    const fields = new EntryFields(one);
    const entry = readEntry(fields);
    const { faults: found } = fields;
    if (entry !== null && found.length === 0) {
      const twice = entries.find(({ client, san }) => client.id === entry.client.id || (san !== null && san === entry.san));
      if (twice === undefined) entries.push(entry);
      else found.push(twice.client.id === entry.client.id ? "`id` is that of another entry" : "`san` is that of another entry");
    }
    faults.push(...found.map((fault) => `entry ${at + 1}${fields.label}: ${fault}`));
  }
  return faults.length === 0 ? { kind: "entries", entries } : faulty(faults);
}

function faulty(faults: readonly string[]): KeyFile & { kind: "faults" } {
  const more = faults.length - shownFaults;
  return { kind: "faults", faults: more > 0 ? [...faults.slice(0, shownFaults), `and ${more} more`] : faults };
}

type Json = { readonly kind: "value"; readonly value: unknown } | (KeyFile & { kind: "faults" });

/** The line of the first fault alone: what JSON.parse says shows what stands there, which may be a secret. */
function parseJson(text: string): Json {
  const whole = tryJson(text);
  if (whole.kind === "value") return whole;
  if (text.trim() === "") return faulty(["the file is empty"]);
  const lines = text.split("\n");
  if (whole.position !== null) return faulty([`line ${text.slice(0, whole.position).split("\n").length} is not JSON`]);
  if (whole.isEarlyEnd) return faulty([`the file ends early, at line ${lines.length}`]);
  // It is there in the text up to its line, and up to each line after that.
  let before = 0;
  let after = lines.length;
  while (after - before > 1) {
    const middle = (before + after) >> 1;
    const part = tryJson(lines.slice(0, middle).join("\n"));
    if (part.kind === "fault" && part.position === null && !part.isEarlyEnd) after = middle;
    else before = middle;
  }
  return faulty([`line ${after} is not JSON`]);
}

type Tried =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "fault"; readonly position: number | null; readonly isEarlyEnd: boolean };

function tryJson(text: string): Tried {
  try {
    const value: unknown = JSON.parse(text);
    return { kind: "value", value };
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    const [, position] = /at position (\d+)/.exec(message) ?? [];
    return {
      kind: "fault",
      position: position === undefined ? null : Number(position),
      isEarlyEnd: message.startsWith("Unexpected end"),
    };
  }
}

/** Null where what it needs is wrong; what else is wrong is among the faults. */
function readEntry(fields: EntryFields): KeyEntry | null {
  const id = fields.text("id", (text) => (keyIdPattern.test(text) ? text : null), "8 of 0-9 and a-z");
  const name = fields.text("name", (text) => (isName(text) ? text : null), "1 to 100 characters, none of them a control");
  const sha256 = fields.optional(
    "sha256",
    (text) => (/^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, "hex") : null),
    "64 hexadecimal digits",
  );
  const san = fields.optional("san", parseCertificateName, "a URI, a host, a mail address or an IP address");
  const held = fields.list<Scope>("scopes", (text) => scopes.find((scope) => scope === text) ?? null, `of ${scopes.join(", ")}`);
  const notAfter = fields.optional("notAfter", parseTime, "a time as `2027-06-01T00:00:00Z`");
  const from = fields.has("from") ? fields.list("from", parseIpRange, "addresses and ranges as `10.0.0.0/8`") : null;
  const priority = fields.optional<Priority>(
    "priority",
    (text) => priorities.find((one) => one === text) ?? null,
    priorities.join(" or "),
  );
  const limits = readLimits(fields);
  const quota = readQuota(fields);
  checkWebhook(fields);
  fields.refuseOthers();
  if (fields.has("sha256") === false && !fields.has("san")) fields.fault("it needs `sha256`, `san`, or both");
  if (id === null || name === null || held === null) return null;
  const client = { id, name, scopes: new Set(held), limits, quota, priority: priority ?? "interactive" } as const;
  return { client, sha256, san, notAfter, from };
}

function readLimits(fields: EntryFields): Limits {
  const inner = fields.object("limits");
  if (inner === null) return noLimits;
  const limits = {
    requests: inner.optional("requests", (text) => parseRate(text, { isSize: false }), countRates),
    bytes: inner.optional("bytes", (text) => parseRate(text, { isSize: true }), byteRates),
    concurrent: inner.count("concurrent"),
  };
  inner.refuseOthers();
  return limits;
}

function readQuota(fields: EntryFields): Quota | null {
  const inner = fields.object("quota");
  if (inner === null) return null;
  const bytes: Rate | null = inner.text("bytes", (text) => parseRate(text, { isSize: true }), byteRates);
  inner.refuseOthers();
  return bytes === null ? null : { bytes };
}

/** Nothing here calls it; a file may have it already. */
function checkWebhook(fields: EntryFields): void {
  const inner = fields.object("webhook");
  if (inner === null) return;
  inner.list("urls", (text) => (URL.canParse(text) ? text : null), "URLs");
  inner.list("secrets", (text) => (text.startsWith("whsec_") ? text : null), "secrets that begin with `whsec_`");
  inner.refuseOthers();
}

function isName(text: string): boolean {
  return text.length <= 100 && /^\P{Cc}+$/u.test(text);
}

/** With seconds and a zone: a time without one is another in each place. */
function parseTime(text: string): number | null {
  const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(text);
  const time = isWhole ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

/** The fields of one object, each to be asked for once, and what is wrong with them. No fault shows a value: it may be a secret in the wrong place. */
class EntryFields {
  readonly faults: string[];
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #asked = new Set<string>();

  constructor(value: unknown, path = "", faults: string[] = []) {
    this.faults = faults;
    this.#path = path;
    this.#fields = isObject(value) ? value : {};
    if (!isObject(value)) this.fault("it is no object");
  }

  /** What names the entry to people, as far as it is fit to be shown. */
  get label(): string {
    const { id } = this.#fields;
    return typeof id === "string" && keyIdPattern.test(id) ? ` (${id})` : "";
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  fault(text: string): void {
    this.faults.push(text);
  }

  text<Value>(name: string, read: (text: string) => Value | null, allowed: string): Value | null {
    const value = this.#take(name);
    const parsed = typeof value === "string" ? read(value) : null;
    if (parsed === null) this.#refuse(name, allowed);
    return parsed;
  }

  optional<Value>(name: string, read: (text: string) => Value | null, allowed: string): Value | null {
    this.#asked.add(name);
    return this.has(name) ? this.text(name, read, allowed) : null;
  }

  count(name: string): number | null {
    const value = this.#take(name);
    if (value === undefined) return null;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 1_000_000) return value;
    this.#refuse(name, "a whole number from 1 to 1000000");
    return null;
  }

  /** Not empty: an empty list would open everything to some readers, and nothing to others. */
  list<Value>(name: string, read: (text: string) => Value | null, allowed: string): readonly Value[] | null {
    const value = this.#take(name);
    const parsed = Array.isArray(value) ? value.map((one) => (typeof one === "string" ? read(one) : null)) : [];
    const good = parsed.filter((one) => one !== null);
    if (good.length === parsed.length && good.length > 0) return good;
    this.#refuse(name, `a list ${allowed.startsWith("of ") ? allowed : `of ${allowed}`}`);
    return null;
  }

  object(name: string): EntryFields | null {
    const value = this.#take(name);
    return value === undefined ? null : new EntryFields(value, `${this.#path}${name}.`, this.faults);
  }

  /** A misspelt `from` would let everybody in. */
  refuseOthers(): void {
    const strange = Object.keys(this.#fields).filter((name) => !this.#asked.has(name));
    for (const name of strange) this.fault(`it has a field ${shown(`${this.#path}${name}`)}, and there is no such field`);
  }

  #take(name: string): unknown {
    this.#asked.add(name);
    return this.has(name) ? this.#fields[name] : undefined;
  }

  #refuse(name: string, allowed: string): void {
    const path = `\`${this.#path}${name}\``;
    this.fault(this.has(name) ? `${path} must be ${allowed}` : `${path} is missing: ${allowed}`);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The name of a field: what stands in its place may be a secret. */
function shown(name: string | undefined): string {
  return name !== undefined && /^[A-Za-z.]{1,40}$/.test(name) ? `"${name}"` : "that is not fit to be shown";
}
