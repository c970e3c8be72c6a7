/** A setting that is right by itself and wrong on this machine: said by its name, which a bare system error would not. */

import { ClamgateError } from "../core/errors.ts";

/** @param names of the settings, as `HOST, PORT`; `fault` goes on with what is wrong. */
export function settingFault(names: string, fault: string, cause: unknown): Error {
  return new Error(`${names}: ${fault} (${reasonOf(cause)})`, { cause });
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // A system error's message repeats the path or the address.
  if ("syscall" in cause && "code" in cause) return String(cause.code);
  return cause instanceof ClamgateError ? (cause.detail ?? cause.message) : cause.message;
}
