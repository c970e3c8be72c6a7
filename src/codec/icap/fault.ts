/** What is wrong with an ICAP request, with the status that says so (RFC 3507 §4.3.3). */

import { ProtocolError } from "../protocol-error.ts";

export type FaultStatus = 400 | 418 | 501 | 505;

export class IcapFault extends ProtocolError {
  readonly status: FaultStatus;

  constructor(status: FaultStatus, message: string) {
    super(message);
    this.status = status;
  }
}

export function badRequest(message: string): IcapFault {
  return new IcapFault(400, message);
}

/** As it may stand in a log line. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, 40));
}
