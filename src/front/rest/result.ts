/** What clamav-rest says of one body, in its words and its formats; beside it, in headers, what it has no room for. */

import { ClamgateError } from "../../core/errors.ts";
import { findings, type ScannedBody } from "../../core/scan.ts";
import { visible } from "../../core/verdict.ts";
import { type Answer, jsonType } from "../../http/answer.ts";
import { errorStatus, type Status } from "./status.ts";
import type { ScanResult } from "./upload.ts";

export interface Result {
  readonly status: "OK" | "FOUND" | "ERROR" | "PARSE ERROR";
  readonly description: string;
  /** Empty where the endpoint names no file; JSON leaves it out then (rest.md 7). */
  readonly fileName: string;
  readonly httpStatus: Status;
}

/** rest.md 18 */
export const namelessPart: Result = {
  status: "ERROR",
  description: "MimePart FileName missing",
  fileName: "",
  httpStatus: 422,
};

/** Of a form without any part. */
export const formWithoutFile: Result = { ...namelessPart, description: "The form has no file" };

/** clamav-rest names one signature per body; the others are in a header. */
export function resultOfScan(scanned: Pick<ScannedBody, "report" | "decision">, fileName: string): Result {
  const [name] = findings(scanned);
  if (name === undefined) return { status: "OK", description: "", fileName, httpStatus: 200 };
  const { verdict } = scanned.report;
  if (verdict.kind === "unscannable" && verdict.reason === "too-large") return tooLarge(fileName);
  return { status: "FOUND", description: name, fileName, httpStatus: 406 };
}

export function asResult(scanResult: ScanResult, fileName: string): Result {
  return scanResult.kind === "scanned" ? resultOfScan(scanResult, fileName) : resultOfError(scanResult.error, fileName);
}

export function resultOfError(error: ClamgateError, fileName: string): Result {
  if (error.code === "too-large") return tooLarge(fileName);
  return { status: "ERROR", description: error.publicMessage, fileName, httpStatus: errorStatus[error.code] };
}

/** To a request that no scan came of. */
export function errorAnswer(error: ClamgateError): Answer {
  const result = resultOfError(error, "");
  return { status: result.httpStatus, contentType: jsonType, body: formatJson(result) };
}

/** The JSON body for what never became a request to scan. */
export function formatFault(description: string): string {
  return formatJson(resultOfError(new ClamgateError("malformed", description), ""));
}

/** Keys in this order, no blank, no line end (rest.md 7). */
export function formatJson({ status, description, fileName }: Result): string {
  const name = fileName === "" ? "" : `,"FileName":${goJsonString(fileName)}`;
  return `{"Status":"${status}","Description":${goJsonString(description)}${name}}`;
}

/** Go's `%v` of the result, which is what `/scanHandlerBody` has always answered (rest.md 35). */
export function formatGoStruct({ status, description, fileName, httpStatus }: Result): string {
  return `{${status} ${description} ${fileName} ${httpStatus}}`;
}

/** rest.md 13 */
function tooLarge(fileName: string): Result {
  return { status: "PARSE ERROR", description: "File size limit exceeded", fileName, httpStatus: 413 };
}

/** The replacement character stands where a name was not UTF-8, and Go escapes it there. */
const escapedByGo = ["<", ">", "&", "\u2028", "\u2029", "\ufffd"].map((character) => {
  return [character, `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`] as const;
});

/** A JSON string with its quotes. JavaScript and Go agree on everything but the characters that are escaped here. */
export function goJsonString(text: string): string {
  const json = JSON.stringify(text.toWellFormed());
  if (!/[<>&\u2028\u2029\ufffd]/.test(json)) return json;
  // One character at a time for all of the text: a function called for each match is slow, and costs ten times the text.
  return escapedByGo.reduce((escapedSoFar, [character, escaped]) => escapedSoFar.replaceAll(character, escaped), json);
}

/**
 * `X-Clamgate-Allowed` names each reason for which the operator lets pass what was not found clean. The others speak of one body,
 * so they are there only when exactly one was scanned.
 */
export function verdictHeaders(scanResults: readonly ScanResult[]): Record<string, string> {
  const headers: Record<string, string> = {};
  const relaxations: string[] = [];
  for (const scanResult of scanResults) {
    const relaxation = scanResult.kind === "scanned" ? scanResult.decision.relaxedFor : null;
    if (relaxation !== null && !relaxations.includes(relaxation)) relaxations.push(relaxation);
  }
  if (relaxations.length > 0) headers["x-clamgate-allowed"] = relaxations.join(", ");
  const [only] = scanResults;
  if (only?.kind !== "scanned" || scanResults.length > 1) return headers;
  headers["x-clamgate-sha256"] = only.report.sha256;
  headers["x-clamgate-cache"] = only.report.isCached ? "hit" : "miss";
  const names = findings(only);
  if (names.length > 0) headers["x-clamgate-signature"] = visible(names);
  return headers;
}
