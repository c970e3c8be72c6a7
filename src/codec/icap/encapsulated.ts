/** The field `Encapsulated`: which heads and which body follow, and where each begins (RFC 3507 §4.4.1). */

import { badRequest, IcapFault, shown } from "./fault.ts";
import type { IcapMethod } from "./request-head.ts";

export interface Composition {
  /** Bytes of the head of the encapsulated request; null where there is none. Likewise the response's. */
  readonly requestHeadBytes: number | null;
  readonly responseHeadBytes: number | null;
  /** Chunks follow. */
  readonly hasBody: boolean;
}

type Part = "req-hdr" | "res-hdr" | "req-body" | "res-body" | "opt-body" | "null-body";

const order = ["req-hdr", "res-hdr", "req-body", "res-body", "opt-body", "null-body"] as const satisfies readonly Part[];

const allowed = {
  OPTIONS: ["opt-body", "null-body"],
  REQMOD: ["req-hdr", "req-body", "null-body"],
  RESPMOD: ["req-hdr", "res-hdr", "res-body", "null-body"],
} as const satisfies Record<IcapMethod, readonly Part[]>;

/** Squid's own limit for the head of a message. */
export const maxHeadBytes = 64 * 1024;
const maxOffset = 2 ** 31;

/** @param value of the field; null where it is missing, which only OPTIONS may do. Throws IcapFault. */
export function parseEncapsulated(method: IcapMethod, value: string | null): Composition {
  if (value === null) {
    if (method !== "OPTIONS") throw badRequest("Encapsulated is missing");
    return { requestHeadBytes: null, responseHeadBytes: null, hasBody: false };
  }
  const items = itemsOf(value);
  const mine: readonly Part[] = allowed[method];
  const foreign = items.find(({ part }) => !mine.includes(part));
  if (foreign !== undefined) throw new IcapFault(418, `Encapsulated has ${foreign.part} in ${method}`);
  const body = items.at(-1);
  if (body === undefined || !body.part.endsWith("-body")) throw badRequest("Encapsulated names no body");
  const bytesOf = (head: Part): number | null => {
    const at = items.findIndex(({ part }) => part === head);
    const [item, next] = [items[at], items[at + 1]];
    if (item === undefined || next === undefined) return null;
    const bytes = next.offset - item.offset;
    if (bytes > maxHeadBytes) throw badRequest(`the encapsulated ${head} is longer than ${maxHeadBytes} bytes`);
    return bytes;
  };
  return {
    requestHeadBytes: bytesOf("req-hdr"),
    responseHeadBytes: bytesOf("res-hdr"),
    hasBody: body.part !== "null-body",
  };
}

/** In the one order that there is: heads, then one body, from 0 on. */
function itemsOf(value: string): readonly { readonly part: Part; readonly offset: number }[] {
  const items: { readonly part: Part; readonly offset: number }[] = [];
  for (const text of value.split(/[,\t ]+/).filter((piece) => piece !== "")) {
    const [, name = "", digits = ""] = /^([a-z-]+)=(\d{1,10})$/i.exec(text) ?? [];
    const part = order.find((known) => known === name.toLowerCase());
    const offset = Number(digits);
    if (part === undefined || offset >= maxOffset) throw badRequest(`Encapsulated has ${shown(text)}`);
    const before = items.at(-1);
    if (before === undefined ? offset !== 0 : offset <= before.offset)
      throw badRequest(`Encapsulated has offsets that do not rise from 0: ${shown(value)}`);
    if (before !== undefined && (order.indexOf(part) <= order.indexOf(before.part) || before.part.endsWith("-body")))
      throw badRequest(`Encapsulated has parts in a wrong order: ${shown(value)}`);
    items.push({ part, offset });
  }
  return items;
}
