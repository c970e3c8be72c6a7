/** What is known of one request, gathered on its way for the one line that the log has of it. */

import type { IcapRequest } from "../../codec/icap/reader.ts";
import { hasToken } from "../../codec/icap/request-head.ts";
import { parseIpAddress } from "../../codec/ip-address.ts";
import type { ClamgateError } from "../../core/errors.ts";
import type { GatewayEvent, IcapRequestMethod } from "../../core/events.ts";

type IcapFact = Extract<GatewayEvent, { readonly kind: "icap" }>;

export type ModRecord = { -readonly [Field in keyof IcapFact]: IcapFact[Field] };

export interface Peer {
  readonly address: string;
  readonly isTls: boolean;
}

/** @param request null where its head could not be read. */
export function openRecord(request: IcapRequest | null, peer: Peer, requestId: string): ModRecord {
  const method: IcapRequestMethod = request?.method ?? "other";
  return {
    kind: "icap",
    requestId,
    peer: peer.address,
    isTls: peer.isTls,
    method,
    service: request?.service ?? "",
    client: request === null ? null : clientAddress(request),
    user: request === null ? null : userOf(request),
    httpMethod: null,
    httpStatus: null,
    url: null,
    size: 0,
    sha256: null,
    verdict: null,
    relaxedFor: null,
    answer: "gone",
    code: null,
    detail: null,
    previewBytes: null,
    isInPreview: false,
    allows204: request !== null && hasToken(request.fields, "allow", "204"),
    isPartial: false,
    echoedBytes: 0,
    releasedBytes: 0,
    seconds: 0,
  };
}

/** Why there is no verdict, or none that could be told. */
export function noteFailure(record: ModRecord, { code, message }: ClamgateError): void {
  record.code = code;
  record.detail = message;
}

function clientAddress({ fields }: IcapRequest): string | null {
  return parseIpAddress(fields.get("x-client-ip")?.[0] ?? "")?.text ?? null;
}

/** Plain, or base64 of `scheme://name` (draft-stecher-icap-subid §3.4). */
function userOf({ fields }: IcapRequest): string | null {
  const text = fields.get("x-authenticated-user")?.[0] ?? fields.get("x-client-username")?.[0] ?? "";
  const decoded = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64").toString("utf8") : "";
  const user = decoded.includes("://") && isPrintable(decoded) ? decoded : text;
  return user === "" || !isPrintable(user) ? null : user;
}

function isPrintable(text: string): boolean {
  return /^[\x20-\x7e\u00a0-\ufffc]*$/.test(text);
}
