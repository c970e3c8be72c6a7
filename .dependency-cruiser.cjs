/** Imports point down: app → fronts → http, egress → modules → codec → core. Nothing imports its neighbour. */
const modules = ["auth", "cache", "clamd", "config", "containers", "egress", "http", "log", "metrics", "names", "process", "signatures", "spool"];
/** What each front may stand on besides core and codec. */
const fronts = { clamd: ["front/paths"], icap: ["http"], ops: ["http"], page: ["http"], paths: [], proxy: ["auth", "http", "egress"], rest: ["auth", "http", "front/paths"] };

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
    {
      name: "client-stands-alone",
      comment: "the library is packed by itself: of the gateway it takes the codec, the verdicts and the socket to clamd",
      severity: "error",
      from: { path: "^client/" },
      to: { path: "^src/", pathNot: "^src/(codec/clamd/|core/verdict[.]ts|clamd/clamd-socket[.]ts)" },
    },
    {
      name: "the-command-line-alone-imports-the-client",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/cli/library[.]ts$" },
      to: { path: "^client/" },
    },
    {
      name: "command-line",
      comment: "stands on the library; of the gateway it takes how values are read and shown, and main.ts gives it what --local needs",
      severity: "error",
      from: { path: "^src/cli/" },
      to: { path: "^src/", pathNot: "^src/(core|codec|cli)/|^src/config/(numbers|parser|unscannable-policy)[.]ts$|^src/log/escape-controls[.]ts$" },
    },
    ...modules.map((module) => ({
      name: `module-${module}`,
      severity: "error",
      from: { path: `^src/${module}/` },
      to: { path: "^src/", pathNot: `^src/(core|codec|${module})/` },
    })),
    ...Object.entries(fronts).map(([front, below]) => ({
      name: `front-${front}`,
      severity: "error",
      from: { path: `^src/front/${front}/` },
      to: { path: "^src/", pathNot: `^src/(${["core", "codec", ...below, `front/${front}`].join("|")})/` },
    })),
    {
      name: "app-is-on-top",
      comment: "what puts everything together is imported by the command alone",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(app/|main\\.ts$)" },
      to: { path: "^src/app/" },
    },
    { name: "src-without-tests", severity: "error", from: { path: "^src/" }, to: { path: "^(test|bench|setup)/" } },
  ],
  options: { tsPreCompilationDeps: true, doNotFollow: { path: "node_modules" }, parser: "swc", enhancedResolveOptions: { extensions: [".ts"] } },
};
