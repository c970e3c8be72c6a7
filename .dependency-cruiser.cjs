/** Imports point down the floors: fronts → core, codec; floor-1 rooms → core, codec; core and codec → nothing of ours. */
const rooms = ["containers", "engine", "names", "signatures", "supervise", "cache", "spool", "observe", "config"];
const fronts = ["rest", "ops", "proxy"];

module.exports = {
  forbidden: [
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "core-imports-core",
      comment: "core knows nothing but itself; codec nothing but core and itself",
      severity: "error",
      from: { path: "^src/core/" },
      to: { path: "^src/", pathNot: "^src/core/" },
    },
    {
      name: "codec-is-pure",
      severity: "error",
      from: { path: "^src/codec/" },
      to: { path: "^src/", pathNot: "^src/(codec|core)/" },
    },
    {
      name: "codec-opens-nothing",
      severity: "error",
      from: { path: "^src/codec/" },
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?(buffer|crypto|util)$" },
    },
    ...rooms.map((room) => ({
      name: `room-${room}`,
      severity: "error",
      from: { path: `^src/${room}/` },
      to: { path: "^src/", pathNot: `^src/(core|codec|${room})/` },
    })),
    ...fronts.map((front) => ({
      name: `front-${front}`,
      severity: "error",
      from: { path: `^src/front/${front}/` },
      to: { path: "^src/", pathNot: `^src/(core|codec|front/${front}|front/http)/` },
    })),
    {
      name: "shared-http",
      comment: "what the HTTP fronts share stands on core and codec alone",
      severity: "error",
      from: { path: "^src/front/http/" },
      to: { path: "^src/", pathNot: "^src/(core|codec|front/http)/" },
    },
    { name: "src-without-tests", severity: "error", from: { path: "^src/" }, to: { path: "^(test|bench|setup)/" } },
  ],
  options: { tsPreCompilationDeps: true, doNotFollow: { path: "node_modules" }, parser: "swc", enhancedResolveOptions: { extensions: [".ts"] } },
};
