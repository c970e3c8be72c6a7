/** What the OpenAPI document says besides its routes: its name, and how clients show who they are, where they are asked. */

import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from "@fastify/swagger";
import type { Config } from "../config/settings.ts";
import { scopeNeeded } from "../front/rest/access.ts";

type Components = NonNullable<NonNullable<FastifyDynamicSwaggerOptions["openapi"]>["components"]>;
type SecuritySchemes = NonNullable<Components["securitySchemes"]>;

/** One of them suffices. */
const schemes = {
  keys: {
    bearer: { type: "http", scheme: "bearer", description: "A key: `Authorization: Bearer cgk_…`" },
    header: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same key in a field of its own" },
  },
  jwt: {
    token: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "A token of the identity provider (JWT_ISSUER)" },
  },
  mtls: {
    // OpenAPI 3.1 has it; the package's types are of 3.0.
    certificate: { type: "mutualTLS", description: "A client's certificate, on SSL_PORT" } as never,
  },
} as const satisfies Record<Config["AUTH"][number], SecuritySchemes>;

const refusals = {
  401: { description: "No key, or one that is not accepted.", type: "null" },
  403: { description: "The client may not do this.", type: "null" },
  429: { description: "More than the client may: `RateLimit` and `Retry-After` tell when to try again.", type: "null" },
};

export function openapiOptions(
  { AUTH, METRICS_AUTH }: Pick<Config, "AUTH" | "METRICS_AUTH">,
  version: string,
): FastifyDynamicSwaggerOptions {
  const securitySchemes: SecuritySchemes = Object.assign({}, ...AUTH.map((word) => schemes[word]));
  const openapi = {
    openapi: "3.1.0",
    info: { title: "clamgate", version, description: "Antivirus gateway powered by ClamAV." },
  };
  if (AUTH.length === 0) return { openapi };
  const names = Object.keys(securitySchemes);
  const transform: SwaggerTransform = ({ schema, url }) => {
    const scope = scopeNeeded(url, !METRICS_AUTH);
    if (scope === null) return { schema: { ...schema, security: [] }, url };
    const security = names.map((name) => ({ [name]: [scope] }));
    const response = { ...(schema.response as Readonly<Record<string, unknown>> | undefined), ...refusals };
    return { schema: { ...schema, security, response }, url };
  };
  return { openapi: { ...openapi, components: { securitySchemes } }, transform };
}
