/** Keeps Fastify's hands off the request's body: it is read by the routes themselves, whatever its type claims to be. */

import type { FastifyInstance } from "fastify";

/** For the routes of this scope. */
export function keepBodiesRaw(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  // Fastify answers 415 to a type that it cannot parse, even so; the routes look at `request.raw` for the real one.
  scope.addHook("onRequest", async (request) => {
    request.headers = { ...request.raw.headers, "content-type": "application/octet-stream" };
  });
}
