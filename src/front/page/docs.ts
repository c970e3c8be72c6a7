/** `/docs`: the OpenAPI description for people, by swagger-ui with its own files. */

import swaggerUi from "@fastify/swagger-ui";
import type { FastifyPluginAsync } from "fastify";

/** swagger-ui draws icons from `data:` addresses and adds one style sheet of its own, which the hash names. Nothing comes from elsewhere. */
const policy = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='",
  "object-src 'none'",
  "base-uri 'self'",
  "frame-ancestors 'none'",
].join("; ");

/** Register it where @fastify/swagger is registered. */
export const docs: FastifyPluginAsync = async (server) => {
  await server.register(swaggerUi, {
    routePrefix: "/docs",
    staticCSP: policy,
    theme: { title: "clamgate: the API" },
    // The base layout has no field for the address of another description.
    uiConfig: { layout: "BaseLayout", defaultModelsExpandDepth: -1, displayRequestDuration: true, tryItOutEnabled: true },
  });
};
