/** A key: `cgk_`, the eight characters by which its entry is found, `_`, and 256 random bits. Kept nowhere but by its client. */

import { hash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";

const pattern = /^cgk_([0-9a-z]{8})_[0-9A-Za-z_-]{43}$/;
const idCharacters = "0123456789abcdefghijklmnopqrstuvwxyz";
const secretBytes = 32;

export const keyIdPattern = /^[0-9a-z]{8}$/;

export interface NewKey {
  readonly id: string;
  /** To be shown once. */
  readonly key: string;
  /** What its entry holds. */
  readonly sha256: Buffer;
}

export function makeKey(): NewKey {
  const id = Array.from({ length: 8 }, () => idCharacters[randomInt(idCharacters.length)]).join("");
  const key = `cgk_${id}_${randomBytes(secretBytes).toString("base64url")}`;
  return { id, key, sha256: digestOf(key) };
}

/** Null for what is no key. */
export function idIn(text: string): string | null {
  return pattern.exec(text)?.[1] ?? null;
}

/** Whether it has the shape of one, right or not. */
export function looksLikeKey(text: string): boolean {
  return text.startsWith("cgk_");
}

/** Takes the same time for each key, whether there is an entry for it or not. */
export function isKeyOf(text: string, sha256: Buffer | null): boolean {
  return timingSafeEqual(digestOf(text), sha256 ?? nobodys) && sha256 !== null;
}

/** Of the key as it is written. */
function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}

const nobodys = Buffer.alloc(32);
