/** What is said to an ICAP client, as bytes. The order of the lines is fixed, and Encapsulated is last: ownCloud stops reading there. */

export type IcapStatus = keyof typeof reasons;

/** Every status line has one: ownCloud takes a line without for none. */
const reasons = {
  200: "OK",
  204: "No Content",
  400: "Bad Request",
  404: "Service Not Found",
  408: "Request Timeout",
  418: "Bad Composition",
  500: "Server Error",
  501: "Method Not Implemented",
  503: "Service Unavailable",
  505: "ICAP Version Not Supported",
} as const;

/** Names and values, each a line. */
export type Lines = readonly (readonly [name: string, value: string])[];

export interface AnswerHead {
  readonly status: IcapStatus;
  readonly istag: string;
  readonly requestId: string;
  readonly closes: boolean;
  /** Between ISTag and the request's id. */
  readonly lines?: Lines;
  /** Null in a 204 alone. */
  readonly encapsulated: string | null;
}

/** RFC 3507 §4.6: alone in its write, after a preview that is not the whole body. */
export const continueBytes = Buffer.from("ICAP/1.0 100 Continue\r\n\r\n");

export function formatHead({ status, istag, requestId, closes, lines = [], encapsulated }: AnswerHead): string {
  const composition = encapsulated === null ? "" : `Encapsulated: ${encapsulated}\r\n`;
  return `${start(status)}ISTag: "${istag}"\r\n${linesOf(lines)}${ends(closes, requestId)}${composition}\r\n`;
}

export interface OptionsAnswer {
  readonly istag: string;
  readonly requestId: string;
  readonly closes: boolean;
  readonly maxConnections: number;
  /** Bytes; null where none is wanted. */
  readonly preview: number | null;
}

/**
 * Without Date: Squid counts the time to live from it, and a gateway whose clock is late would be down for good. `Transfer-Preview: *`
 * must be there, as Squid would send no preview without.
 */
export function formatOptions({ istag, requestId, closes, maxConnections, preview }: OptionsAnswer): string {
  const lines = linesOf([
    ["Methods", "REQMOD, RESPMOD"],
    ["Service", "clamgate antivirus"],
    ["Service-ID", "clamgate"],
    ["ISTag", `"${istag}"`],
    ["Options-TTL", "3600"],
    ["Max-Connections", String(maxConnections)],
    ["Allow", "204"],
    ...(preview === null
      ? []
      : ([
          ["Preview", String(preview)],
          ["Transfer-Preview", "*"],
        ] as const)),
    ["X-Include", "X-Client-IP, X-Authenticated-User"],
  ]);
  return `${start(200)}${lines}${ends(closes, requestId)}Encapsulated: null-body=0\r\n\r\n`;
}

function start(status: IcapStatus): string {
  return `ICAP/1.0 ${status} ${reasons[status]}\r\nServer: clamgate\r\n`;
}

function ends(closes: boolean, requestId: string): string {
  return `${closes ? "Connection: close\r\n" : ""}X-Clamgate-Request: ${requestId}\r\n`;
}

function linesOf(lines: Lines): string {
  return lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** A whole HTTP answer as the one thing that an ICAP answer holds, and what `Encapsulated` says of it. */
export interface EncapsulatedPage {
  readonly encapsulated: string;
  readonly bytes: string;
}

/**
 * HTTP/1.1, as the clients of oCIS know no other; in one chunk with the last chunk behind it, as they read until bytes end in CRLFCRLF.
 * @param statusLine as `403 Forbidden`; @param html in ASCII.
 */
export function encapsulatePage(statusLine: string, lines: Lines, html: string): EncapsulatedPage {
  const fixed: Lines = [
    ["Content-Type", "text/html; charset=utf-8"],
    ["Content-Length", String(Buffer.byteLength(html))],
    ["Cache-Control", "no-store"],
  ];
  const head = `HTTP/1.1 ${statusLine}\r\n${linesOf([...fixed, ...lines])}\r\n`;
  const chunk = `${Buffer.byteLength(html).toString(16)}\r\n${html}\r\n0\r\n\r\n`;
  return { encapsulated: `res-hdr=0, res-body=${Buffer.byteLength(head)}`, bytes: head + chunk };
}

export function chunkHead(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const maxNames = 20;

/** draft-stecher-icap-subid §4: printable ASCII without what separates, at most 200 characters. */
function threatName(name: string): string {
  return name.slice(0, 200).replace(/[^\x20-\x7e]|[;,]/g, "?");
}

export interface Threat {
  /** 0: a virus; 2: something that could not be looked into. */
  readonly type: 0 | 2;
  /** The most telling first; at least one. */
  readonly names: readonly string[];
  /** As `Infected`. */
  readonly description: string;
}

/** Said in every tongue at once: no two clients look at the same field. */
export function threatLines({ type, names, description }: Threat): Lines {
  const known = names.slice(0, maxNames).map(threatName);
  const [first = "(unnamed)"] = known;
  const violations = known.map((name) => `\r\n\t-\r\n\t${name}\r\n\t0\r\n\t0`).join("");
  return [
    ...infectionLines(type, first),
    ["X-Virus-Name", first],
    ["X-Violations-Found", `${known.length}${violations}`],
    ["X-Response-Info", "Blocked"],
    ["X-Response-Desc", description],
  ];
}

/** Those that are in the encapsulated head, too. */
export function infectionLines(type: Threat["type"], name: string): Lines {
  const threat = threatName(name);
  return [
    ["X-Infection-Found", `Type=${type}; Resolution=2; Threat=${threat};`],
    ["X-Virus-ID", threat],
  ];
}
