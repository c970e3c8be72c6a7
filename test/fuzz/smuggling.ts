/** A request that is hidden in another one's body, for each front, and the trace that it leaves where it is taken for one. */

import { createHash } from "node:crypto";
import type { FakeOrigin } from "../fake/origin.ts";
import type { Front } from "./harness/fronts.ts";
import type { ScanLog } from "./harness/scan-log.ts";

export interface Smuggling {
  readonly front: Front;
  readonly port: number;
  /** Header lines that a request to this front has, each with its end. */
  readonly lines: string;
  /** Where an honest GET leads. */
  readonly path: string;
  /** A whole request, as long for any id of seven digits. */
  request(id: string): string;
  /** Whether that request was ever taken for one. */
  wasServed(id: string): boolean;
}

/** The body inside would be scanned, and found clean. */
export function restSmuggling(front: Front, port: number, log: ScanLog): Smuggling {
  const bodyOf = (id: string) => `smuggled-${id}`;
  return {
    front,
    port,
    lines: "",
    path: "/version",
    request: (id) =>
      `POST /scanHandlerBody HTTP/1.1\r\nHost: smuggled\r\nContent-Length: ${bodyOf(id).length}\r\n\r\n${bodyOf(id)}`,
    wasServed: (id) => log.sourcesOf(createHash("sha256").update(bodyOf(id)).digest("hex")).size > 0,
  };
}

/** The request inside would be the origin's to answer. */
export function proxySmuggling(front: Front, port: number, origin: FakeOrigin): Smuggling {
  const asked = new Set<string>();
  let read = 0;
  const from = `Download-From: http://127.0.0.1:${origin.port}/\r\n`;
  return {
    front,
    port,
    lines: from,
    path: "/first",
    request: (id) => `GET /smuggled-${id} HTTP/1.1\r\nHost: smuggled\r\n${from}\r\n`,
    wasServed(id) {
      for (; read < origin.requests.length; read += 1) asked.add(origin.requests[read]?.path ?? "");
      return asked.has(`/smuggled-${id}`);
    },
  };
}
