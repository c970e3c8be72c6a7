/** One POST over each protocol that the gateway speaks. */

import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { text } from "node:stream/consumers";
import type { Sample } from "./samples.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** `1.1` or `2`. */
  readonly httpVersion: string;
}

export type Post = (url: string, body: Buffer, contentType: string) => Promise<Answer>;

const tls = { rejectUnauthorized: false } as const; // the tests make their own certificate

export const http1: Post = (url, body, contentType) =>
  new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? httpsRequest : httpRequest;
    const onResponse = (response: IncomingMessage) => {
      const { statusCode = 0, headers, httpVersion } = response;
      text(response).then((answer) => resolve({ status: statusCode, body: answer, headers, httpVersion }), reject);
    };
    const headers = { "content-type": contentType, "content-length": body.length };
    request(url, { method: "POST", headers, agent: false, ...tls }, onResponse)
      .on("error", reject)
      .end(body);
  });

/** By prior knowledge, or by ALPN over TLS. */
export const http2: Post = async (url, body, contentType) => {
  const session = connectHttp2(url, tls);
  try {
    return await new Promise((resolve, reject) => {
      session.on("error", reject);
      const stream = session.request({ ":method": "POST", ":path": new URL(url).pathname, "content-type": contentType });
      stream.on("error", reject).on("response", (headers) => {
        text(stream).then(
          (answer) => resolve({ status: Number(headers[":status"]), body: answer, headers, httpVersion: "2" }),
          reject,
        );
      });
      stream.end(body);
    });
  } finally {
    session.close();
  }
};

/** A form with one file field per sample. */
export function form(...samples: readonly Sample[]): { readonly body: Buffer; readonly contentType: string } {
  const boundary = "clamgate-e2e-boundary";
  const parts = samples.flatMap(({ name, bytes }) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
  return {
    body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]),
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}

/** Posts samples as a form. */
export function upload(url: string, ...samples: readonly Sample[]): Promise<Answer> {
  const { body, contentType } = form(...samples);
  return http1(`${url}/v2/scan`, body, contentType);
}
