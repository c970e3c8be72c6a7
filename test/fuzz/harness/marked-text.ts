/** Inputs as text with placeholders: `{marker}` and its encodings stand for a new marker each time, so that no verdict about an earlier one counts. */

import { gzipSync } from "node:zlib";

export interface Markers {
  /** The next marker: of one length, plain letters and digits, never used before. */
  next(): string;
  /** Whether the bytes hold a marker. */
  areIn(bytes: Uint8Array): boolean;
}

const markerHead = "JudgedMarker";

export function countedMarkers(): Markers {
  let count = 0;
  return {
    next() {
      count += 1;
      return `${markerHead}${String(count).padStart(9, "0")}z`;
    },
    areIn: (bytes) => /JudgedMarker\d{9}z/.test(Buffer.from(bytes).toString("latin1")),
  };
}

/** How a marker may stand in a text; and what would take too much room in a printed counterexample. */
const encodings: Readonly<Record<string, (marker: string) => string>> = {
  marker: (marker) => marker,
  base64: (marker) => Buffer.from(marker).toString("base64"),
  "quoted-printable": (marker) => `=${Buffer.from(marker.slice(0, 1)).toString("hex").toUpperCase()}${marker.slice(1)}`,
  long: () => "x".repeat(70_000),
  longish: () => "x".repeat(9_000),
  gzip: (marker) => gzipSync(marker).toString("latin1"),
};

/** @returns bytes as Latin-1 characters */
export function expand(text: string, markers: Markers): string {
  return text.replaceAll(/\{([a-z0-9-]+)\}/g, (placeholder, name: string) => encodings[name]?.(markers.next()) ?? placeholder);
}
