/** What `/openapi.json` says of the routes. Nothing is validated by it: the answers to bad requests are clamav-rest's own. */

import { type TSchema, Type } from "typebox";

const Result = Type.Object({
  Status: Type.Union([Type.Literal("OK"), Type.Literal("FOUND"), Type.Literal("ERROR"), Type.Literal("PARSE ERROR")]),
  Description: Type.String({ description: "The name of what was found, or what went wrong; empty for OK" }),
  FileName: Type.Optional(Type.String()),
});

const Failure = Type.Object({ Status: Type.Literal("ERROR"), Description: Type.String() });

export const Upload = Type.Object({
  file: Type.Unsafe<string>({ type: "string", format: "binary", description: "Any field name; any number of files" }),
});

const pathQuery = Type.Object({ path: Type.String({ description: "Absolute, below a directory of SCAN_PATH_ROOTS" }) });

const descriptions = {
  200: "Every file was scanned and may pass.",
  400: "The request is malformed.",
  403: "The path is not below a directory of SCAN_PATH_ROOTS, or none is set.",
  406: "Something was found, or a file that cannot be looked into is not allowed.",
  408: "The upload came too slowly.",
  412: "The path does not lead to a file that can be read.",
  413: "A file is larger than the limit.",
  415: "The body is in a content coding that is not known, or not whole in the one it names.",
  422: "A part has no file name, or the form no part.",
  500: "A fault of the gateway.",
  503: "No verdict could be made; try again after Retry-After seconds.",
} as const;

const uploadStatuses = [200, 400, 406, 408, 413, 415, 422, 500, 503] as const;
const bodyStatuses = [200, 400, 406, 408, 413, 415, 500, 503] as const;
const pathStatuses = [200, 400, 403, 406, 412, 413, 500, 503] as const;

export const uploadSchema = {
  summary: "Scans the files of a form. The most severe result is the status; 406 comes first.",
  description: examples("curl -F file=@README.md http://localhost:9000/v2/scan"),
  tags: ["scan"],
  consumes: ["multipart/form-data"],
  body: Upload,
  response: responses(uploadStatuses, "application/json", Type.Array(Result)),
};

export const deprecatedUploadSchema = {
  summary: "As /v2/scan, with the results as JSON objects one behind the other.",
  tags: ["scan"],
  deprecated: true,
  consumes: ["multipart/form-data"],
  body: Upload,
  response: responses(uploadStatuses, "application/json", Type.String()),
};

export const bodySchema = {
  summary: "Scans the request's body, whatever its type. The result is `{Status Description FileName code}` in plain words.",
  description: examples("curl --data-binary @README.md http://localhost:9000/scanHandlerBody"),
  tags: ["scan"],
  consumes: ["application/octet-stream"],
  body: Type.Unsafe<string>({ type: "string", format: "binary" }),
  response: responses(bodyStatuses, "application/json", Type.String({ examples: ["{OK   200}"] })),
};

export const scanFileSchema = {
  summary: "Scans a file on the gateway's disk.",
  tags: ["scan"],
  querystring: pathQuery,
  response: responses(pathStatuses, "text/plain", Result),
};

export const scanPathSchema = {
  summary: "Scans a file or a directory on the gateway's disk; a result for each finding.",
  tags: ["scan"],
  querystring: pathQuery,
  response: responses(pathStatuses, "text/plain", Type.Array(Result)),
};

export const versionSchema = {
  summary: "The versions of engine and signatures.",
  description: examples("curl http://localhost:9000/version"),
  tags: ["state"],
  response: {
    200: described(
      "Without daily signatures there is no number and no date; then the files that are loaded are named, where they are the gateway's own.",
      "application/json",
      Type.Object({
        Clamav: Type.String(),
        Signature: Type.Optional(Type.String()),
        Signature_date: Type.Optional(Type.String()),
        Signature_files: Type.Optional(Type.String()),
      }),
    ),
    503: described(descriptions[503], "application/json", Failure),
  },
};

export const statsSchema = {
  summary: "The engine's load; 503 while there is no engine. A browser that asks for HTML gets the page.",
  description: examples("curl http://localhost:9000/"),
  tags: ["state"],
  response: {
    200: described(
      "In the words of clamd's STATS.",
      "application/json",
      Type.Object({
        Pools: Type.String(),
        State: Type.String(),
        Threads: Type.String(),
        Memstats: Type.String(),
        Queue: Type.String(),
      }),
    ),
    503: described(descriptions[503], "application/json", Failure),
  },
};

/** As Markdown, one below the other. */
export function examples(...commands: readonly string[]): string {
  return ["```sh", ...commands, "```"].join("\n");
}

function responses(statuses: readonly (keyof typeof descriptions)[], type: string, schema: TSchema) {
  return Object.fromEntries(statuses.map((status) => [status, described(descriptions[status], type, schema)]));
}

export function described(description: string, type: string, schema: TSchema) {
  return { description, content: { [type]: { schema } } };
}
