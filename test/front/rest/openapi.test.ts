import assert from "node:assert/strict";
import { describe, test } from "node:test";
import swagger from "@fastify/swagger";
import Fastify from "fastify";
import { restFront } from "../../../src/front/rest/front.ts";
import { createFakeScan } from "./fake-scan.ts";
import { frontOptions, maxBytes } from "./rest-server.ts";

interface Operation {
  readonly summary?: string;
  readonly deprecated?: boolean;
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
  readonly parameters?: readonly { readonly name: string }[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

describe("the OpenAPI description", () => {
  test("names each route with its bodies and its statuses", async () => {
    const server = Fastify();
    await server.register(swagger, { openapi: { openapi: "3.1.0", info: { title: "clamgate", version: "0" } } });
    await server.register(restFront(frontOptions(createFakeScan({ maxBytes }), [], {})).plugin);
    await server.ready();
    const { paths } = JSON.parse(JSON.stringify(server.swagger())) as {
      readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
    };
    const expected = {
      "/v2/scan": ["post", "200 400 406 408 413 415 422 500 503"],
      "/scan": ["post", "200 400 406 408 413 415 422 500 503"],
      "/scanHandlerBody": ["post", "200 400 406 408 413 415 500 503"],
      "/scanFile": ["get", "200 400 403 406 412 413 500 503"],
      "/scanPath": ["get", "200 400 403 406 412 413 500 503"],
      "/version": ["get", "200 503"],
      "/": ["get", "200 503"],
      "/v3/scan": ["post", "200 400 406 408 413 415 422 500 503"],
      "/v3/verdicts/{sha256}": ["get", "200 400 404 406 503"],
      "/v3/status": ["get", "200"],
    } as const;
    for (const [path, [method, statuses]] of Object.entries(expected)) {
      const operation = paths[path]?.[method];
      assert.ok(operation?.summary, path);
      assert.equal(Object.keys(operation.responses).join(" "), statuses, path);
      for (const { description } of Object.values(operation.responses)) assert.ok(description.length > 10);
    }
    assert.equal(paths["/scan"]?.post?.deprecated, true);
    assert.deepEqual(Object.keys(paths["/v2/scan"]?.post?.requestBody?.content ?? {}), ["multipart/form-data"]);
    assert.deepEqual(Object.keys(paths["/scanHandlerBody"]?.post?.requestBody?.content ?? {}), ["application/octet-stream"]);
    // A form that a reader of the description can fill in, beside the plain body.
    const { "application/octet-stream": plain, "multipart/form-data": form } =
      paths["/v3/scan"]?.post?.requestBody?.content ?? {};
    assert.deepEqual(plain, { schema: { type: "string", format: "binary" } });
    assert.match(JSON.stringify(form), /"file":\{"type":"string","format":"binary"/);
    assert.deepEqual(
      paths["/scanFile"]?.get?.parameters?.map(({ name }) => name),
      ["path"],
    );
    await server.close();
  });
});
