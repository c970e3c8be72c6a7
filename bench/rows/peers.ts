/** Other services with the same endpoints, wherever they run: `BENCH_PEER_REST`, `BENCH_PEER_PROXY`. */

import { measureInTurn, rate, ratios, type Subject } from "../measure.ts";
import { figuresOf, type Row } from "../row.ts";
import type { Scenario } from "../scenario.ts";
import { isInstalled } from "../subjects/is-installed.ts";
import { startNginx } from "../subjects/nginx.ts";
import { gatewayName, uploads } from "./bare-clients.ts";
import { fromLoopback } from "./downloads.ts";

const peerName = "the peer";
const proxyName = "clamgate download proxy";
const fileBytes = 1024;

export const peerRest: Scenario = {
  name: "peer-rest",
  missing: () => (process.env.BENCH_PEER_REST ? null : "BENCH_PEER_REST is not set"),
  async run(stage) {
    const peerUrl = new URL("/v2/scan", process.env.BENCH_PEER_REST).href;
    const gateway = await stage.gateway("tiny");
    const rows: Row[] = [];
    for (const isUnique of [true, false]) {
      const body = { kind: "random", bytes: 1024, isUnique } as const;
      const peer: Subject = { name: peerName, load: { kind: "upload", url: peerUrl, body }, processes: [] };
      const samples = await measureInTurn([uploads(gateway, body), peer], { ...stage, clients: 16 });
      rows.push({
        scenario: this.name,
        what: `${isUnique ? "unique" : "repeated"} 1 KiB, 16 clients, ours with the tiny database: rate over the peer`,
        target: null,
        measured: ratios(samples, gatewayName, peerName, rate),
        unit: "×",
        figures: figuresOf(samples, "/s", rate),
      });
    }
    return rows;
  },
};

export const peerProxy: Scenario = {
  name: "peer-proxy",
  missing() {
    if (!process.env.BENCH_PEER_PROXY) return "BENCH_PEER_PROXY is not set";
    return isInstalled("nginx") ? null : "nginx is not installed";
  },
  async run(stage) {
    const peerUrl = new URL("/file.bin", process.env.BENCH_PEER_PROXY).href;
    await using nginx = await startNginx(await stage.directory("nginx"), { "file.bin": Buffer.alloc(fileBytes, "x") });
    const gateway = await stage.gateway("tiny", fromLoopback([nginx.originUrl]));
    if (gateway.proxyUrl === null) return [];
    const headers = { "download-from": `${nginx.originUrl}/`, "cache-scan": "True" };
    const load = { kind: "download", headers, isUnique: false, bytes: fileBytes } as const;
    const ours: Subject = { name: proxyName, load: { ...load, url: `${gateway.proxyUrl}/file.bin` }, processes: [] };
    const peer: Subject = { name: peerName, load: { ...load, url: peerUrl }, processes: [] };
    const samples = await measureInTurn([ours, peer], { ...stage, clients: 16 });
    return [
      {
        scenario: this.name,
        what: "download of the same 1 KiB, 16 clients: rate over the peer",
        target: null,
        measured: ratios(samples, proxyName, peerName, rate),
        unit: "×",
        figures: figuresOf(samples, "/s", rate),
      },
    ];
  },
};
